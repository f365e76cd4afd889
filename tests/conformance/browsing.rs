//! What a browser does at the site and at the provider, over sockets.

use std::collections::BTreeMap;

use axum::http::header::{ACCEPT, CONTENT_TYPE, LOCATION, ORIGIN};
use axum::http::{Method, Request, Response, StatusCode, request};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::{Service, service_fn};
use tower_oidc::testing::Browser;
use url::{Url, form_urlencoded};

use crate::site::{SITE, START, Site};

pub(crate) type Answer = Response<String>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How a browser comes back from the provider.
pub(crate) enum WayBack {
    /// By a redirect to this path and query.
    Redirect(String),
    /// By a form for this path.
    Form(String, Vec<(String, String)>),
}

impl Site {
    /// The site as a service, each request of which goes over a socket.
    pub(crate) fn over_http(
        &self,
    ) -> impl Service<Request<String>, Response = Answer, Error = BoxError> + use<> {
        let origin = format!("http://{}", self.address);
        let http = self.http.clone();
        service_fn(move |request: Request<String>| {
            let (origin, http) = (origin.clone(), http.clone());
            async move {
                let (head, body) = request.into_parts();
                let asked = http
                    .request(head.method, format!("{origin}{}", head.uri))
                    .headers(head.headers)
                    .body(body);
                read(asked.send().await?).await
            }
        })
    }

    /// Signs in, and must succeed.
    pub(crate) async fn sign_in(&self, browser: &mut Browser) {
        let answer = self.try_sign_in(browser).await;
        assert_eq!(self.failure(), None);
        assert_eq!(location(&answer), "/");
        assert!(self.is_signed_in(browser).await);
    }

    /// Signs in as far as it goes: the last answer of the site.
    pub(crate) async fn try_sign_in(&self, browser: &mut Browser) -> Answer {
        self.failure();
        let answer = self.visit(browser, START).await;
        if answer.status() != StatusCode::SEE_OTHER {
            return answer;
        }
        let way_back = self.at_provider(location(&answer)).await;
        self.come_back(browser, way_back).await
    }

    /// Follows an authorization URL.
    pub(crate) async fn at_provider(&self, url: &str) -> WayBack {
        let answer = self.follow(url).await;
        if answer.status() == StatusCode::SEE_OTHER {
            return WayBack::Redirect(path_of(location(&answer)).to_owned());
        }
        let page = answer.body();
        let (_, rest) = page.split_once("<form method=\"post\" action=\"").unwrap();
        let (action, rest) = rest.split_once('"').unwrap();
        let fields = rest.split("<input type=\"hidden\" name=\"").skip(1);
        let fields = fields.map(|field| {
            let (name, rest) = field.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split('"').next().unwrap().to_owned())
        });
        WayBack::Form(path_of(action).to_owned(), fields.collect())
    }

    /// Visits an address elsewhere, and follows no redirect.
    pub(crate) async fn follow(&self, url: &str) -> Answer {
        read(self.http.get(url).send().await.unwrap())
            .await
            .unwrap()
    }

    /// Follows the provider's answer to the site.
    pub(crate) async fn come_back(&self, browser: &mut Browser, way: WayBack) -> Answer {
        let request = match way {
            WayBack::Redirect(path) => {
                let visit = navigation(Method::GET, &path).header("sec-fetch-site", "cross-site");
                visit.body(String::new())
            }
            WayBack::Form(path, fields) => {
                let form = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(fields)
                    .finish();
                navigation(Method::POST, &path)
                    .header("sec-fetch-site", "cross-site")
                    .header(ORIGIN, "null")
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form)
            }
        };
        browser.send(&mut self.over_http(), request.unwrap()).await
    }

    /// Visits a page.
    pub(crate) async fn visit(&self, browser: &mut Browser, path: &str) -> Answer {
        browser.get(&mut self.over_http(), path).await
    }

    /// Asks for something as a script of the site does.
    pub(crate) async fn fetch(&self, browser: &mut Browser, path: &str) -> Answer {
        let request = Request::get(path).body(String::new()).unwrap();
        browser.send(&mut self.over_http(), request).await
    }

    /// What the site knows of the user: nothing if nobody is signed in.
    pub(crate) async fn shows(&self, browser: &mut Browser) -> Value {
        let answer = self.fetch(browser, "/").await;
        match answer.status() {
            StatusCode::OK => serde_json::from_str(answer.body()).unwrap(),
            _ => Value::Null,
        }
    }

    pub(crate) async fn is_signed_in(&self, browser: &mut Browser) -> bool {
        !self.shows(browser).await.is_null()
    }
}

async fn read(answer: reqwest::Response) -> Result<Answer, BoxError> {
    let (head, body) = Response::<reqwest::Body>::from(answer).into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Response::from_parts(head, String::from_utf8(body)?))
}

fn navigation(method: Method, path: &str) -> request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
}

pub(crate) fn location(answer: &Answer) -> &str {
    let location = answer.headers().get(LOCATION);
    let location = location.unwrap_or_else(|| panic!("{}", answer.body()));
    location.to_str().unwrap()
}

/// The path and query of an address of the site.
pub(crate) fn path_of(url: &str) -> &str {
    url.strip_prefix(SITE).expect(url)
}

pub(crate) fn query(url: &str) -> BTreeMap<String, String> {
    let url = Url::parse(SITE).unwrap().join(url).unwrap();
    url.query_pairs().into_owned().collect()
}
