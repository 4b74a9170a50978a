//! What is kept in memory for a while: a bounded number of things of bounded size, the least used forgotten first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::id::Id;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many things.
    pub count: usize,
    /// So many bytes of all of them.
    pub bytes: usize,
    /// So long after their last use.
    pub age: Duration,
}

/// Things by their names.
pub struct Store<T> {
    limits: Limits,
    entries: Mutex<HashMap<Id, Entry<T>>>,
}

struct Entry<T> {
    value: Arc<T>,
    /// 0 as long as it must not be forgotten.
    bytes: usize,
    used: Instant,
}

impl<T> Store<T> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Mutex::default(),
        }
    }

    /// Keeps a thing of so many bytes; one of none is kept until it is [weighed](Self::weigh).
    pub fn add(&self, id: Id, value: Arc<T>, bytes: usize) {
        let used = Instant::now();
        let mut entries = self.lock();
        self.make_room(&mut entries, bytes);
        entries.insert(id, Entry { value, bytes, used });
    }

    /// Says how many bytes a thing has come to.
    pub fn weigh(&self, id: Id, bytes: usize) {
        let mut entries = self.lock();
        if let Some(mut entry) = entries.remove(&id) {
            self.make_room(&mut entries, bytes);
            entry.bytes = bytes;
            entry.used = Instant::now();
            entries.insert(id, entry);
        }
    }

    /// The thing of this name, if it is still there.
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        let mut entries = self.lock();
        let entry = entries.get_mut(&name.parse().ok()?)?;
        entry.used = Instant::now();
        Some(entry.value.clone())
    }

    /// Forgets the thing of this name; whether it was there.
    pub fn forget(&self, name: &str) -> bool {
        let id = name.parse().ok();
        id.and_then(|id| self.lock().remove(&id)).is_some()
    }

    /// Forgets what has not been used for too long.
    pub fn tidy(&self, now: Instant) {
        let age = self.limits.age;
        let fresh = |entry: &Entry<T>| now.saturating_duration_since(entry.used) < age;
        self.lock()
            .retain(|_, entry| entry.bytes == 0 || fresh(entry));
    }

    /// Forgets the least used until so many bytes more fit.
    fn make_room(&self, entries: &mut HashMap<Id, Entry<T>>, bytes: usize) {
        loop {
            let held = entries.iter().filter(|(_, entry)| entry.bytes > 0);
            let sum: usize = held.clone().map(|(_, entry)| entry.bytes).sum();
            let fits = sum.saturating_add(bytes) <= self.limits.bytes;
            if held.clone().count() < self.limits.count && fits {
                return;
            }
            let oldest = held.min_by_key(|(_, entry)| entry.used).map(|(&id, _)| id);
            let Some(oldest) = oldest else { return };
            entries.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Entry<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(60);

    fn store(count: usize, bytes: usize) -> Store<&'static str> {
        Store::new(Limits {
            count,
            bytes,
            age: AGE,
        })
    }

    fn add(store: &Store<&'static str>, value: &'static str, bytes: usize) -> String {
        let id = Id::random().unwrap();
        store.add(id, Arc::new(value), bytes);
        id.to_string()
    }

    #[test]
    fn the_least_used_gives_way_by_number_and_by_size() {
        for store in [store(2, 1000), store(100, 25)] {
            let [a, b] = ["a", "b"].map(|value| add(&store, value, 10));
            assert_eq!(store.get(&a).as_deref(), Some(&"a"));
            let c = add(&store, "c", 10);
            let there = [&a, &b, &c].map(|id| store.get(id).is_some());
            assert_eq!(there, [true, false, true]);
            assert!(store.forget(&a) && !store.forget(&a));
            assert!(store.get(&a).is_none());
        }
    }

    #[test]
    fn what_is_unfinished_stays_and_what_is_old_goes() {
        let store = store(2, 1000);
        let id = Id::random().unwrap();
        let unfinished = id.to_string();
        store.add(id, Arc::new("unfinished"), 0);
        let others = ["a", "b", "c"].map(|value| add(&store, value, 10));
        assert!(store.get(&unfinished).is_some() && store.get(&others[0]).is_none());
        store.tidy(Instant::now());
        assert!(store.get(&others[2]).is_some());
        store.tidy(Instant::now() + AGE);
        assert!(store.get(&others[2]).is_none());
        assert!(store.get(&unfinished).is_some());
        store.weigh(id, 10);
        store.tidy(Instant::now() + AGE);
        assert!(store.get(&unfinished).is_none());
    }
}
