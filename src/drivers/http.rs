//! One HTTP exchange with every limit on it: budget, concurrency, time, size; no redirects.
//!
//! What an answer means is the caller's business; here is only whether there was one. Invariant:
//! [`SendError::NotSent`] is claimed only when no byte of the request can have reached the other
//! side, since a caller may repeat a payment on the strength of it.

use super::config::Limits;
use backon::{ExponentialBuilder, Retryable};
use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::sync::Semaphore;

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type without parameters.
    pub media_type: String,
    /// The server's clock.
    pub date: Option<DateTime<Utc>>,
    /// How long the server wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent.
    #[error("{0}")]
    NotSent(String),
    /// Something may have been sent and acted upon.
    #[error("{0}")]
    Uncertain(String),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
}

/// An HTTP client with the budget of one connector.
pub struct Http {
    reads: reqwest::Client,
    /// No connection is reused for a call that changes something: on a fresh connection, "could
    /// not connect" really means that nothing was sent.
    writes: reqwest::Client,
    limiter: DefaultDirectRateLimiter,
    gate: Semaphore,
    limits: Limits,
}

/// Whether a call may be repeated at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes nothing.
    Read,
    /// May change something.
    Write,
}

impl Http {
    /// A client; fails only when the TLS set-up is unusable.
    pub fn new(limits: Limits) -> Result<Self, String> {
        let client = |idle: usize| {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(limits.timeout.min(Duration::from_secs(10)))
                .pool_max_idle_per_host(idle)
                .user_agent(concat!("rebated/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|e| e.to_string())
        };
        let per_minute = NonZeroU32::new(limits.requests_per_minute).unwrap_or(NonZeroU32::MIN);
        // A tenth of a minute's budget may go at once; the rest is spread.
        let burst = NonZeroU32::new(limits.requests_per_minute / 10).unwrap_or(NonZeroU32::MIN);
        Ok(Self {
            reads: client(4)?,
            writes: client(0)?,
            limiter: RateLimiter::direct(Quota::per_minute(per_minute).allow_burst(burst)),
            gate: Semaphore::new(limits.concurrency as usize),
            limits,
        })
    }

    /// One attempt.
    pub async fn post_json(
        &self,
        kind: Kind,
        url: &str,
        authorization: Option<&HeaderValue>,
        body: Vec<u8>,
    ) -> Result<Answer, SendError> {
        let _permit = self.gate.acquire().await.map_err(|e| SendError::NotSent(e.to_string()))?;
        self.limiter.until_ready().await;
        let (client, timeout) = match kind {
            Kind::Read => (&self.reads, self.limits.timeout),
            Kind::Write => (&self.writes, self.limits.push_timeout),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(value) = authorization {
            headers.insert(reqwest::header::AUTHORIZATION, value.clone());
        }
        let request = client.post(url).headers(headers).timeout(timeout).body(body);
        let mut response = request.send().await.map_err(|e| send_error(e, timeout))?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            media_type: media_type(response.headers()),
            date: http_date(response.headers()),
            retry_after: retry_after(response.headers()),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|e| send_error(e, timeout))? {
            if answer.body.len() as u64 + chunk.len() as u64 > self.limits.max_bytes {
                return Err(SendError::TooLarge(self.limits.max_bytes));
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// Repeats something that changes nothing while `passing` says so, with growing, jittered
    /// waits that never exceed the connector's limit, whatever the server asks for.
    pub async fn repeat<T, E, F, R>(&self, mut attempt: F, passing: impl Fn(&E) -> Option<Option<Duration>>) -> Result<T, E>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<T, E>>,
    {
        let longest = self.limits.retry_after_max;
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200).min(longest))
            .with_max_delay(longest)
            .with_max_times(self.limits.attempts.saturating_sub(1) as usize)
            .with_jitter();
        (move || attempt())
            .retry(waits)
            .when(|error| passing(error).is_some())
            .adjust(|error, wait| {
                let asked = passing(error).flatten();
                wait.map(|wait| asked.map_or(wait, |asked| asked.max(wait)).min(longest))
            })
            .await
    }
}

fn send_error(error: reqwest::Error, timeout: Duration) -> SendError {
    // The address may hold a password, and the chain below says what really happened.
    let error = error.without_url();
    let mut message = if error.is_timeout() && !error.is_connect() {
        format!("no answer within {} s", timeout.as_secs())
    } else {
        error.to_string()
    };
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    if error.is_connect() || error.is_builder() { SendError::NotSent(message) } else { SendError::Uncertain(message) }
}

fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn parse_http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|at| at.to_utc())
}

fn http_date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    headers.get(DATE).and_then(|v| v.to_str().ok()).and_then(parse_http_date)
}

/// `Retry-After` in seconds or as a date (compared with the server's own clock).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = parse_http_date(text)?;
    (until - http_date(headers).unwrap_or_else(Utc::now)).to_std().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse::<reqwest::header::HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        let dated = headers(&[("date", "Fri, 12 Jun 2026 10:00:00 GMT"), ("retry-after", "Fri, 12 Jun 2026 10:00:30 GMT")]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
        assert_eq!(retry_after(&headers(&[])), None);
    }

    #[test]
    fn an_absurd_retry_after_does_not_outlast_the_limit() {
        let limits = Limits { retry_after_max: Duration::from_millis(20), attempts: 3, ..Limits::default() };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::new(limits).unwrap();
        let mut tries = 0;
        let started = std::time::Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result: Result<(), &str> = runtime.block_on(http.repeat(
            || {
                tries += 1;
                async { Err("busy") }
            },
            |_| Some(Some(Duration::from_secs(315_360_000))),
        ));
        assert!(result.is_err());
        assert_eq!(tries, 3);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
