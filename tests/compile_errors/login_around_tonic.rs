//! `PlainPages` cannot make the pages of a service whose response body is
//! to `LoginLayer::on_page`

use tonic::service::Routes;
use tonic::transport::Server;
use tower_oidc::LoginLayer;

fn served(login: LoginLayer, services: Routes) {
    let server = Server::builder().layer(login).add_routes(services);
    drop(server.serve("127.0.0.1:3080".parse().unwrap()));
}

fn main() {
    let _ = served;
}
