//! How long the API server is waited for, and when nothing may be asked of it any more.
//!
//! A request that failed may have been done all the same. So whoever asks again must be able to tell: what is applied
//! carries the fence, what is stored a mark of the very write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use tokio::time::Sleep;
use tower::BoxError;
use tower::retry::Policy;

/// How long an API server is waited for that has answered before, or that asks for patience: shorter than a lock holds.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often something is asked again that the API server fails at: that may never end.
const FAILURES: u32 = 5;
/// The first pause between two tries; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(1);

/// Until when the lock holds, by both clocks: one stands still while the machine sleeps, the other is set by people.
#[derive(Debug, Clone, Copy)]
struct Term {
    steady: Instant,
    wall: SystemTime,
}

/// The term of our lock; none while we hold none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenure(Arc<Mutex<Option<Term>>>);

/// A change that was not asked for, because the lock may be somebody else's by now.
#[derive(Debug, thiserror::Error)]
#[error("the lock was over before this was asked for")]
pub(crate) struct Over;

impl Tenure {
    /// Begins to be asked for: what is asked from now on holds for so long.
    pub(crate) fn from_now(duration: Duration) -> impl FnOnce(&Self) {
        let term = Instant::now()
            .checked_add(duration)
            .zip(SystemTime::now().checked_add(duration))
            .map(|(steady, wall)| Term { steady, wall });
        move |tenure| *tenure.0.lock().unwrap_or_else(PoisonError::into_inner) = term
    }

    /// We hold none any more.
    pub(crate) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Refuses a change after the end of the lock under which it was decided.
    pub(crate) fn check(&self, method: &Method) -> Result<(), Over> {
        let term = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = term.is_some_and(|term| Instant::now() > term.steady || SystemTime::now() > term.wall);
        if is_over && method != Method::GET { Err(Over) } else { Ok(()) }
    }
}

/// Whether and when a request is made again.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// Whether the API server has answered anything yet. One that never did is not waited for long: its name may be wrong.
    known: Arc<AtomicBool>,
    begun: Option<Instant>,
    failures: u32,
    pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { known: Arc::default(), begun: None, failures: 0, pause: FIRST }
    }
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// An answer, be it a refusal.
    Answered,
    /// The API server has too much to do; perhaps it says for how long.
    Busy(Option<Duration>),
    /// The API server failed at this.
    Failed,
    /// Somebody took the connection, and it broke before an answer came.
    Broken,
    /// Nobody is there.
    Unreachable,
}

impl Outcome {
    fn of<B>(result: &Result<Response<B>, BoxError>) -> Self {
        let response = match result {
            Ok(response) => response,
            Err(error) if was_connected(error.as_ref()) => return Self::Broken,
            Err(_) => return Self::Unreachable,
        };
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let seconds = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                Self::Busy(seconds.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs))
            }
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Self::Failed,
            _ => Self::Answered,
        }
    }
}

/// Whether an error came after there was a connection, certificates included.
fn was_connected(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .find_map(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>())
        .is_some_and(|it| !it.is_connect())
}

impl Patience {
    /// The pause before the next try; none when there is none.
    fn next(&mut self, outcome: Outcome, now: Instant) -> Option<Duration> {
        let begun = *self.begun.get_or_insert(now);
        let was_known = self.known.load(Ordering::Relaxed);
        if !matches!(outcome, Outcome::Unreachable | Outcome::Broken) {
            self.known.store(true, Ordering::Relaxed);
        }
        let pause = self.pause;
        let pause = match outcome {
            Outcome::Answered => return None,
            Outcome::Busy(asked) => asked.unwrap_or(pause).max(pause),
            Outcome::Broken | Outcome::Unreachable if was_known => pause,
            // One of the first connections may break of many that are made at once, before any has brought an answer.
            Outcome::Failed | Outcome::Broken => {
                self.failures += 1;
                if self.failures > FAILURES {
                    return None;
                }
                pause
            }
            Outcome::Unreachable => return None,
        };
        self.pause = (self.pause * 2).min(LONGEST);
        (now.duration_since(begun) + pause <= PATIENCE).then_some(pause)
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Patience {
    type Future = Sleep;

    fn retry(&mut self, _: &mut Request<Body>, result: &mut Result<Response<B>, BoxError>) -> Option<Sleep> {
        if result.as_ref().is_err_and(|error| error.is::<Over>()) {
            return None;
        }
        self.next(Outcome::of(result), Instant::now()).map(tokio::time::sleep)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        // A stream cannot be sent twice.
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(known: bool, outcomes: &[Outcome]) -> Vec<Option<u128>> {
        let mut patience = Patience { known: Arc::new(AtomicBool::new(known)), ..Patience::default() };
        let mut now = Instant::now();
        let mut next = |outcome: &Outcome| {
            let pause = patience.next(*outcome, now)?;
            now += pause;
            Some(pause.as_millis())
        };
        outcomes.iter().map(&mut next).collect()
    }

    #[test]
    fn what_passes_is_waited_for_and_what_does_not_is_told() {
        use Outcome::{Answered, Broken, Busy, Failed, Unreachable};
        assert_eq!(pauses(true, &[Answered]), [None]);
        assert_eq!(pauses(false, &[Unreachable]), [None], "a name that may be wrong");
        assert_eq!(pauses(true, &[Unreachable; 3]), [Some(50), Some(100), Some(200)]);
        assert_eq!(pauses(true, &[Unreachable; 20]).iter().flatten().sum::<u128>() / 1000, 11, "at last it is told");
        assert_eq!(pauses(true, &[Broken; 20]), pauses(true, &[Unreachable; 20]));
        assert_eq!(pauses(false, &[Broken; 7])[4..], [Some(800), None, None], "somebody is there, but who?");
        assert_eq!(pauses(false, &[Broken, Answered]), [Some(50), None]);
        let asked = Busy(Some(Duration::from_secs(2)));
        assert_eq!(
            pauses(false, &[asked, asked, Busy(None), Unreachable]),
            [Some(2000), Some(2000), Some(200), Some(400)]
        );
        assert_eq!(pauses(true, &[Busy(Some(Duration::from_secs(60)))]), [None], "longer than the lock holds");
        assert_eq!(pauses(true, &[Failed; 7])[4..], [Some(800), None, None]);
    }

    #[test]
    fn after_its_term_only_reading_is_left() {
        let tenure = Tenure::default();
        assert!(tenure.check(&Method::PATCH).is_ok(), "no lock, no term");
        Tenure::from_now(Duration::from_secs(60))(&tenure);
        assert!(tenure.check(&Method::PATCH).is_ok());
        Tenure::from_now(Duration::ZERO)(&tenure);
        std::thread::sleep(Duration::from_millis(2));
        assert!(tenure.check(&Method::GET).is_ok());
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(tenure.check(&method).is_err(), "{method}");
        }
        tenure.end();
        assert!(tenure.check(&Method::PUT).is_ok());
    }
}
