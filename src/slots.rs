//! A cache of fixed size that is read without a lock: each key names the few slots in which its entry
//! may be.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

/// `COUNT` slots. The entry of a key is in one of `WAYS` of them.
///
/// A key is random or a hash, so any of its bits spread well. A `Slot` is usually an
/// [`ArcSwapOption`]; one that keeps more beside the entry works as well.
///
/// Slots are made by the page, when one of them is first needed: a process may have a thousand of these caches, one for
/// each site, and most of them hold little. To drop a slot costs more than to make it, too.
pub(crate) struct Slots<Slot, const COUNT: usize, const WAYS: usize>(Box<[OnceLock<Page<Slot>>]>);

type Page<Slot> = Box<[Slot; PAGE]>;

/// Slots in a page.
const PAGE: usize = 64;

const KEY_LENGTH: usize = 32;

/// How many bytes of a key name a slot.
const NAME_LENGTH: usize = 4;

impl<Slot: Default, const COUNT: usize, const WAYS: usize> Slots<Slot, COUNT, WAYS> {
    pub(crate) fn new() -> Self {
        const {
            assert!(COUNT > 0 && COUNT <= u32::MAX as usize);
            assert!(WAYS > 0 && WAYS * NAME_LENGTH <= KEY_LENGTH);
        }
        let pages = COUNT.div_ceil(PAGE);
        Self((0..pages).map(|_| OnceLock::new()).collect())
    }

    /// The slots in which the entry of this key may be.
    pub(crate) fn of(&self, key: &[u8; KEY_LENGTH]) -> [&Slot; WAYS] {
        names::<COUNT, WAYS>(key).map(|name| {
            let page = self.0[name / PAGE]
                .get_or_init(|| Box::new(std::array::from_fn(|_| Slot::default())));
            &page[name % PAGE]
        })
    }

    /// Those of them that were ever needed.
    fn made(&self, key: &[u8; KEY_LENGTH]) -> impl Iterator<Item = &Slot> {
        let names = names::<COUNT, WAYS>(key).into_iter();
        names.filter_map(|name| Some(&self.0[name / PAGE].get()?[name % PAGE]))
    }

    /// Every slot that was ever needed.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Slot> {
        self.0
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|page| page.iter())
    }
}

fn names<const COUNT: usize, const WAYS: usize>(key: &[u8; KEY_LENGTH]) -> [usize; WAYS] {
    std::array::from_fn(|way| {
        let at = way * NAME_LENGTH;
        let name = u32::from_le_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]);
        name as usize % COUNT
    })
}

impl<T, const COUNT: usize, const WAYS: usize> Slots<ArcSwapOption<T>, COUNT, WAYS> {
    /// The first that `choose` takes of the entries in the slots of this key. They may be of other keys.
    pub(crate) fn find<R>(
        &self,
        key: &[u8; KEY_LENGTH],
        mut choose: impl FnMut(&Arc<T>) -> Option<R>,
    ) -> Option<R> {
        self.made(key)
            .find_map(|slot| choose(slot.load().as_ref()?))
    }

    /// Puts an entry where the former entry of its key is, else into a free slot, else into the first,
    /// whose entry is lost.
    pub(crate) fn put(
        &self,
        key: &[u8; KEY_LENGTH],
        entry: Arc<T>,
        is_former: impl Fn(&T) -> bool,
    ) {
        let slots = self.of(key);
        let holds_former =
            |slot: &&ArcSwapOption<T>| slot.load().as_deref().is_some_and(&is_former);
        let is_free = |slot: &&ArcSwapOption<T>| slot.load().is_none();
        let first = slots[0];
        let slot = slots.into_iter().find(holds_former);
        let slot = slot
            .or_else(|| slots.into_iter().find(is_free))
            .unwrap_or(first);
        slot.store(Some(entry));
    }

    /// Empties the slots of this key that hold its entry.
    pub(crate) fn remove(&self, key: &[u8; KEY_LENGTH], is_its: impl Fn(&T) -> bool) {
        for slot in self.made(key) {
            if slot.load().as_deref().is_some_and(&is_its) {
                slot.store(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Few slots, so that keys collide.
    type Few = Slots<ArcSwapOption<Entry>, 4, 2>;

    struct Entry {
        key: [u8; 32],
        value: u32,
    }

    /// A key whose entry may be in these two slots.
    fn key(number: u8, first: u8, second: u8) -> [u8; 32] {
        let mut key = [number; 32];
        key[..8].copy_from_slice(&[first, 0, 0, 0, second, 0, 0, 0]);
        key
    }

    fn put(slots: &Few, key: [u8; 32], value: u32) {
        slots.put(&key, Arc::new(Entry { key, value }), |there| {
            there.key == key
        });
    }

    fn found(slots: &Few, key: [u8; 32]) -> Option<u32> {
        slots.find(&key, |entry| (entry.key == key).then_some(entry.value))
    }

    #[test]
    fn an_entry_is_found_until_it_is_removed() {
        let slots = Few::new();
        let (one, other) = (key(1, 0, 1), key(2, 0, 1));
        assert_eq!(found(&slots, one), None);
        put(&slots, one, 10);
        assert_eq!(found(&slots, one), Some(10));
        assert_eq!(found(&slots, other), None, "another key of the same slots");
        slots.remove(&other, |entry| entry.key == other);
        assert_eq!(found(&slots, one), Some(10));
        slots.remove(&one, |entry| entry.key == one);
        assert_eq!(found(&slots, one), None);
    }

    #[test]
    fn a_key_has_one_entry_and_a_third_key_displaces_the_first_slot() {
        let slots = Few::new();
        let [one, two, three] = [key(1, 0, 1), key(2, 0, 1), key(3, 0, 1)];
        put(&slots, one, 10);
        put(&slots, two, 20);
        put(&slots, two, 21);
        assert_eq!(
            (found(&slots, one), found(&slots, two)),
            (Some(10), Some(21))
        );
        put(&slots, three, 30);
        assert_eq!(found(&slots, one), None, "it was in the first slot");
        assert_eq!(
            (found(&slots, two), found(&slots, three)),
            (Some(21), Some(30))
        );
        let held = slots.all().filter(|slot| slot.load().is_some()).count();
        assert_eq!(held, 2, "never two entries of one key");
    }

    #[test]
    fn both_names_of_a_key_may_be_the_same_slot() {
        let slots = Few::new();
        let same = key(1, 3, 3);
        put(&slots, same, 10);
        put(&slots, same, 11);
        assert_eq!(found(&slots, same), Some(11));
        slots.remove(&same, |entry| entry.key == same);
        assert!(slots.all().all(|slot| slot.load().is_none()));
    }

    #[test]
    fn names_beyond_the_last_slot_wrap_around() {
        let slots = Few::new();
        let far = [0xff; 32];
        put(&slots, far, 10);
        assert_eq!(found(&slots, far), Some(10));
    }

    #[test]
    fn slots_are_made_by_the_page_when_an_entry_comes() {
        let slots = Slots::<ArcSwapOption<Entry>, { 3 * PAGE + 1 }, 2>::new();
        let of = |first: u8, second: u8| key(1, first, second);
        assert!(slots.find(&of(0, 192), |_| Some(())).is_none());
        slots.remove(&of(0, 192), |_| true);
        assert_eq!(slots.all().count(), 0, "nothing was put");
        let (key, value) = (of(0, 192), 10);
        slots.put(&key, Arc::new(Entry { key, value }), |_| false);
        assert_eq!(slots.all().count(), 2 * PAGE, "the first page and the last");
        assert_eq!(slots.find(&key, |entry| Some(entry.value)), Some(10));
    }

    #[test]
    fn readers_see_whole_entries_while_others_write() {
        let slots = Few::new();
        thread::scope(|scope| {
            for number in 1..=3 {
                let slots = &slots;
                scope.spawn(move || {
                    let key = key(number, 0, 1);
                    for value in 0..2_000_u32 {
                        put(slots, key, u32::from(number) * 10_000 + value);
                        if let Some(value) = found(slots, key) {
                            assert_eq!(value / 10_000, u32::from(number));
                        }
                    }
                });
            }
        });
    }
}
