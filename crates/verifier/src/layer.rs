//! A `tower` layer: requests without a living token do not get through, the others carry their [`Token`] as an extension.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::http::bearer;
use crate::policy::Policy;
use crate::token::{Refusal, Token};
use crate::verifier::Verifier;

/// ```no_run
/// # use cenote_verifier::{Policy, RequireToken, Verifier};
/// # fn routes(verifier: Verifier) {
/// let reading = RequireToken::new(verifier.clone()).scope("orders/read");
/// let paying = RequireToken::new(verifier).scope("orders/pay").policy(Policy::FailClosed);
/// # }
/// ```
#[derive(Clone)]
pub struct RequireToken {
    verifier: Verifier,
    policy: Policy,
    scopes: Arc<[String]>,
}

impl RequireToken {
    /// With the verifier's own policy.
    pub fn new(verifier: Verifier) -> RequireToken {
        let policy = verifier.policy();
        RequireToken { verifier, policy, scopes: Arc::new([]) }
    }

    pub fn policy(self, policy: Policy) -> RequireToken {
        self.verifier.will_use(policy);
        RequireToken { policy, ..self }
    }

    /// Asks for a scope, beside those asked for already.
    pub fn scope(self, scope: impl Into<String>) -> RequireToken {
        let scopes = self.scopes.iter().cloned().chain([scope.into()]).collect();
        RequireToken { scopes, ..self }
    }

    async fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let text = bearer(request.headers()).ok_or(Refusal::Missing)?.to_owned();
        let token: Token = self.verifier.verify_by(&text, self.policy).await?;
        if self.scopes.iter().any(|scope| !token.has_scope(scope)) {
            return Err(Refusal::Scope);
        }
        request.extensions_mut().insert(token);
        Ok(())
    }
}

impl<S> Layer<S> for RequireToken {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, rule: self.clone() }
    }
}

/// What is behind the layer.
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    rule: RequireToken,
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was ready goes along; the clone becomes ready for the next request.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let rule = self.rule.clone();
        Box::pin(async move {
            // Not across an await by reference: a body need not be `Sync`.
            let (parts, body) = request.into_parts();
            let mut head = Request::from_parts(parts, ());
            if let Err(refusal) = rule.admit(&mut head).await {
                return Ok(refusal.response());
            }
            request = Request::from_parts(head.into_parts().0, body);
            inner.call(request).await
        })
    }
}
