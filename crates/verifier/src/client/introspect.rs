//! Asking the server about a token while the feed is too old to tell, remembered for five seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::{Endpoints, Http};
use crate::clock::Clock;
use crate::seen::Hash;

const KEPT_MS: u64 = 5_000;
const MAX_KEPT: usize = 16_384;

#[derive(Default)]
pub(crate) struct Introspection(Mutex<HashMap<Hash, (bool, u64)>>);

impl Introspection {
    /// Whether it lives; `None` if that could not be learned.
    pub async fn is_active(
        &self,
        http: &Http,
        endpoints: &Endpoints,
        clock: &dyn Clock,
        token: &str,
        hash: Hash,
    ) -> Option<bool> {
        #[derive(Deserialize)]
        struct Answer {
            active: bool,
        }
        let asked = clock.monotonic_ms();
        if let Some((active, at)) = self.kept().get(&hash)
            && asked.saturating_sub(*at) < KEPT_MS
        {
            return Some(*active);
        }
        let url = endpoints.introspection.as_deref()?;
        let answer = match http.form(url, &[("token", token)]).await? {
            Ok(answer) => answer,
            Err(failure) => {
                tracing::warn!(url, "introspection failed: {failure}");
                return None;
            }
        };
        let Answer { active } = serde_json::from_slice(&answer).ok()?;
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (_, at)| asked.saturating_sub(*at) < KEPT_MS);
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
        }
        // From when it was asked: the answer is no newer.
        kept.insert(hash, (active, asked));
        Some(active)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Hash, (bool, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
