//! The same work for many things, on several threads.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More threads would wait for each other: a graph is read within a second.
const MOST: usize = 8;
/// What one thread takes at a time. Fewer things are not worth a second thread.
const AT_ONCE: usize = 64;

/// Works on all items, some at a time, and gives the results in the items' order.
pub(crate) fn chunks<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let chunks: Vec<&[T]> = items.chunks(AT_ONCE).collect();
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST).min(chunks.len());
    if threads < 2 {
        return chunks.into_iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    // Whoever is free takes the next ones.
    let run = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(at) else { return done };
            done.push((at, work(chunk)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            match other.join() {
                Ok(further) => done.extend(further),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_the_items_however_many_there_are() {
        for count in [0, 1, super::AT_ONCE, 10 * super::AT_ONCE + 1] {
            let items: Vec<usize> = (0..count).collect();
            let doubled = super::chunks(&items, |chunk| chunk.iter().map(|item| 2 * item).collect::<Vec<_>>()).concat();
            assert_eq!(doubled, items.iter().map(|item| 2 * item).collect::<Vec<_>>());
        }
    }
}
