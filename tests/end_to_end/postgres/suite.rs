//! What every store must do.

use sqlx::postgres::PgPoolOptions;
use tower_oidc::login::PostgresStore;

use super::server::Postgres;
use crate::stores::records::passes_the_suite;

// D14, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn one_server_passes_the_suite() {
    let postgres = Postgres::start(&[]);
    passes_the_suite(postgres.store()).await;
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_pool_of_the_application_passes_the_suite() {
    let postgres = Postgres::start(&["default_transaction_isolation=serializable"]);
    let pool = PgPoolOptions::new().max_connections(3);
    let pool = pool.connect(&postgres.url()).await.unwrap();
    let store = PostgresStore::from_pool(pool.clone())
        .with_table_prefix("shop")
        .unwrap();
    store.migrate().await.unwrap();
    passes_the_suite(store).await;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM shop_sessions")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(kept > 0, "they are in the tables of this name");
}
