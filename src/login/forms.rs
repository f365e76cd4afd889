//! The requests to a site whose bodies are read: forms that the provider sends, or another site lets a browser send.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use crate::error::LoginErrorKind as Kind;
use crate::login::browser::query::with_form;
use crate::login::browser::reply::Reply;
use crate::login::browser::site::OwnPath;
use crate::login::party::{BoxError, Party};
use crate::login::sign_in::answer::LONGEST_QUERY;
use crate::login::sign_out::backchannel::LONGEST_FORM;

/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

impl Party {
    /// What a request is for whose body is read.
    pub(super) fn takes_form<B>(&self, request: &Request<B>) -> Option<OwnPath> {
        if request.method() != Method::POST {
            return None;
        }
        let own = self.site.paths.own(request.uri().path())?;
        let is_taken = match own {
            OwnPath::Backchannel => true,
            OwnPath::Callback => self.sign_in.request.form_post,
            OwnPath::Initiate => self.allows_initiated,
            _ => false,
        };
        is_taken.then_some(own)
    }

    /// The answer to a form.
    pub(super) async fn take_form<B>(self: Arc<Self>, own: OwnPath, request: Request<B>) -> Reply
    where
        B: Body + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        if own == OwnPath::Backchannel {
            let content_type = head.headers.get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or_default().to_owned();
            return match read(body, LONGEST_FORM).await {
                Ok(form) => self.told_by_provider(content_type, form).await,
                Err(status) => Reply::empty(status),
            };
        }
        if let Some(reply) = self.misplaced(&head) {
            return reply;
        }
        let form = match read(body, LONGEST_QUERY).await {
            Ok(form) => form,
            Err(status) => return Reply::empty(status),
        };
        // From here on it is read as if it had come in the query.
        let Some(head) = with_form(head, &form) else {
            let error = Kind::MalformedCallback.into();
            let head = Request::new(()).into_parts().0;
            return self.site.tell(&head, error, &self.site.home());
        };
        if own == OwnPath::Initiate {
            return self.asked_once_more(&head);
        }
        self.sign_in.callback(&head).await
    }

    /// Sends a browser that another site had post a form to ask by GET. With the form come no cookies of this site,
    /// so that neither the sign-ins under way nor those that have ended could be counted.
    fn asked_once_more(&self, head: &Parts) -> Reply {
        let query = head.uri.query().unwrap_or_default();
        if query.len() > LONGEST_QUERY {
            return Reply::empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Reply::see_other(&format!("{}?{query}", self.site.public.initiate))
    }

    /// The answer to a logout by the provider.
    async fn told_by_provider(self: Arc<Self>, content_type: String, form: Bytes) -> Reply {
        let tasks = self.sessions.tasks.clone();
        // In a task of its own: a provider that hangs up early does not stop it halfway.
        let logout =
            tasks.spawn(async move { self.sign_out.backchannel(&content_type, &form).await });
        let unknown = |_| Reply::empty(StatusCode::SERVICE_UNAVAILABLE);
        logout.await.unwrap_or_else(unknown)
    }
}

/// The body of a form, or the status that says why it cannot be read.
async fn read<B>(body: B, longest: usize) -> Result<Bytes, StatusCode>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let form = Limited::new(body, longest).collect();
    match tokio::time::timeout(FORM_TIME, form).await {
        Ok(Ok(form)) => Ok(form.to_bytes()),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}
