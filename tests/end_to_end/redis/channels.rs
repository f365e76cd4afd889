//! Users who may not use the channel on which replicas tell each other of changes.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tower_oidc::login::{RedisStore, SessionStore, Swapped};

use super::server::Redis;
use crate::stores::records::{owner, random_key, record};
use crate::stores::replicas::{Arrangement, Replicas};
use crate::stores::server::{Kind, Server};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_user_who_may_not_publish_can_store_all_the_same() {
    let redis = Redis::start(&[]);
    let mut connection = redis.connection();
    let user = [
        "SETUSER",
        "mute",
        "on",
        ">hunter2",
        "~*",
        "resetchannels",
        "+@all",
    ];
    let _: String = redis::cmd("ACL").arg(&user).query(&mut connection).unwrap();
    let url = format!("redis://mute:hunter2@127.0.0.1:{}", redis.port);
    let store = RedisStore::new(&url).unwrap();
    let (key, zero) = (random_key(), record(b"zero"));
    store
        .create(key, Some(owner()), zero.clone())
        .await
        .unwrap();
    let one = record(b"one");
    let swapped = store.swap(key, zero.tag, one.clone()).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
    assert_eq!(store.delete(key).await.unwrap(), Some(one));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn without_the_word_of_changes_the_age_of_the_near_cache_is_the_bound() {
    let redis = Redis::start(&[]);
    let mut connection = redis.connection();
    let user = ["SETUSER", "default", "resetchannels"];
    let _: String = redis::cmd("ACL").arg(&user).query(&mut connection).unwrap();
    let url = redis.url();
    let mut site = Replicas::arranged(Arrangement {
        stores: Some([url.clone(), url.clone(), url]),
        ..Arrangement::of(Kind::Redis)
    })
    .await;
    site.server = Some(Server::Redis(redis));
    let handle = site.handle();
    assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
    let read = Instant::now();
    site.sign_out(0).await;
    while site.takes(1, &handle).await {
        let passed = read.elapsed();
        assert!(passed < Duration::from_millis(2_500), "{passed:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
