//! A line that can go bad: between a process and its store.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the line is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Good,
    /// Everything takes longer, there and back.
    Slow(Duration),
    /// Every connection breaks, and none comes about.
    Cut,
    /// Nothing passes, and neither side is told.
    BlackHole,
    /// What is asked arrives, what is answered does not.
    NoAnswers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    line: watch::Sender<Line>,
    target: watch::Sender<u16>,
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, state) = watch::channel(Line::Good);
        let (target, leads_to) = watch::channel(target);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *state.borrow() == Line::Cut {
                    continue;
                }
                let (state, target) = (state.clone(), *leads_to.borrow());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await {
                        join(client, server, state).await;
                    }
                });
            }
        });
        Self { port, line, target }
    }

    /// New connections go there.
    pub(crate) fn leads_to(&self, port: u16) {
        self.target.send_replace(port);
    }

    pub(crate) fn is_now(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn join(client: TcpStream, server: TcpStream, mut state: watch::Receiver<Line>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = pass(from_client, to_server, Way::There, state.clone());
    let back = pass(from_server, to_client, Way::Back, state.clone());
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = state.wait_for(|line| *line == Line::Cut) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    mut state: watch::Receiver<Line>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer).await {
        let is_open = |line: &Line| match line {
            Line::BlackHole => false,
            Line::NoAnswers => way == Way::There,
            Line::Good | Line::Slow(_) | Line::Cut => true,
        };
        let Ok(line) = state.wait_for(is_open).await.map(|line| *line) else {
            return;
        };
        if let Line::Slow(delay) = line {
            tokio::time::sleep(delay).await;
        }
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
