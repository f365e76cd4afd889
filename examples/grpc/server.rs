//! A greeter that reads the caller from the verified token.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tower_oidc::grpc::principal;

use super::greeter::greeter_server::{Greeter, GreeterServer};
use super::greeter::{Greeting, Name, Times};

pub(super) fn greeter() -> GreeterServer<impl Greeter> {
    GreeterServer::new(Hello)
}

struct Hello;

type Greetings = Pin<Box<dyn Stream<Item = Result<Greeting, Status>> + Send>>;

fn subject<T>(request: &Request<T>) -> Result<String, Status> {
    Ok(principal(request)?.subject().unwrap_or("nobody").to_owned())
}

fn greeting(name: &str, subject: &str) -> Greeting {
    Greeting {
        text: format!("hello, {name}, asked by {subject}"),
    }
}

#[tonic::async_trait]
impl Greeter for Hello {
    async fn greet(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        let subject = subject(&request)?;
        let Name { name } = request.into_inner();
        Ok(Response::new(greeting(&name, &subject)))
    }

    type GreetAgainStream = Greetings;

    async fn greet_again(&self, request: Request<Times>) -> Result<Response<Greetings>, Status> {
        let subject = subject(&request)?;
        let Times { times } = request.into_inner();
        let greetings = (1..=times).map(move |n| Ok(greeting(&format!("number {n}"), &subject)));
        Ok(Response::new(Box::pin(tokio_stream::iter(greetings))))
    }

    type ChatStream = Greetings;

    async fn chat(&self, request: Request<Streaming<Name>>) -> Result<Response<Greetings>, Status> {
        let subject = subject(&request)?;
        let names = request.into_inner();
        let greetings = names.map(move |name| Ok(greeting(&name?.name, &subject)));
        Ok(Response::new(Box::pin(greetings)))
    }
}
