//! The devices that wait at the development provider for a person
//! ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)).

use std::time::Duration;

use crate::clock::UnixTime;
use crate::testing::token::opaque_token;

/// How long a code lives.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// How long a device waits between two polls, and how much longer after each that came too early.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// The letters of user codes: no vowels, so that they spell no words (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// The devices that wait for a person.
#[derive(Debug, Default)]
pub(super) struct Devices(Vec<Device>);

/// What a device asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: String,
    pub(super) scope: String,
    pub(super) audience: Option<String>,
}

#[derive(Debug)]
struct Device {
    code: String,
    user_code: String,
    asked: Asked,
    expires_at: UnixTime,
    interval: Duration,
    polled_at: Option<UnixTime>,
    decision: Option<Decision>,
}

#[derive(Debug)]
enum Decision {
    Approved { user: String, at: UnixTime },
    Denied,
}

impl Devices {
    /// Adds a device, and returns its code and the one that it shows to the person.
    pub(super) fn add(&mut self, asked: Asked, now: UnixTime) -> (String, String) {
        // A code that has expired is known a while longer, so that its device is told.
        let long_ago = now.saturating_sub(LIFETIME);
        self.0.retain(|known| known.expires_at > long_ago);
        let (code, user_code) = (opaque_token(), user_code());
        self.0.push(Device {
            code: code.clone(),
            user_code: user_code.clone(),
            asked,
            expires_at: now.saturating_add(LIFETIME),
            interval: INTERVAL,
            polled_at: None,
            decision: None,
        });
        (code, user_code)
    }

    /// Whether a device with this user code waits for a decision.
    pub(super) fn has(&mut self, user_code: &str, now: UnixTime) -> bool {
        self.shows(user_code, now).is_some()
    }

    /// The device that shows this code, as people write it.
    fn shows(&mut self, user_code: &str, now: UnixTime) -> Option<&mut Device> {
        let plain = |code: &str| -> String {
            let letters = code.chars().filter(char::is_ascii_alphabetic);
            letters.map(|letter| letter.to_ascii_uppercase()).collect()
        };
        let wanted = plain(user_code);
        let mut waiting = self.0.iter_mut();
        waiting.find(|device| {
            plain(&device.user_code) == wanted
                && now < device.expires_at
                && device.decision.is_none()
        })
    }

    /// The decision about the device with this user code: as whom it is signed in, or `None` for a refusal. Returns
    /// whether it waited for one.
    pub(super) fn decide(&mut self, user_code: &str, user: Option<&str>, now: UnixTime) -> bool {
        let Some(device) = self.shows(user_code, now) else {
            return false;
        };
        device.decision = Some(match user {
            Some(user) => Decision::Approved {
                user: user.to_owned(),
                at: now,
            },
            None => Decision::Denied,
        });
        true
    }

    /// What a poll comes to: what was granted to whom and when, or an error code (RFC 8628 §3.5).
    pub(super) fn poll(
        &mut self,
        client: &str,
        code: &str,
        now: UnixTime,
    ) -> Result<(Asked, String, UnixTime), &'static str> {
        let mut devices = self.0.iter();
        let at = devices
            .position(|device| device.code == code && device.asked.client == client)
            .ok_or("invalid_grant")?;
        let device = &mut self.0[at];
        if now >= device.expires_at {
            return Err("expired_token");
        }
        let last = device.polled_at.replace(now);
        if last.is_some_and(|last| now < last.saturating_add(device.interval)) {
            device.interval += INTERVAL;
            return Err("slow_down");
        }
        if device.decision.is_none() {
            return Err("authorization_pending");
        }
        let device = self.0.remove(at);
        match device.decision {
            Some(Decision::Approved { user, at }) => Ok((device.asked, user, at)),
            Some(Decision::Denied) | None => Err("access_denied"),
        }
    }
}

fn user_code() -> String {
    let random = opaque_token();
    let letters = random.bytes().take(8);
    let mut code: String = letters
        .map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]))
        .collect();
    code.insert(4, '-');
    code
}
