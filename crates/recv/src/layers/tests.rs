//! One decision at a time. Whole runs over simulated links are in netlab.

use fleetcast_core::fec::layer_rate;

use super::*;

/// A receiver that hears `pace` packets of the base layer in each quarter of a second, and of others by their rates.
struct Heard {
    control: Control,
    pace: u32,
    now: Instant,
    counts: [u32; MAX_LAYERS as usize],
}

impl Heard {
    fn new(most: u8) -> Self {
        let control = Control::new(Instant::default(), most, 1);
        Self { control, pace: 200, now: Instant::default(), counts: [0; MAX_LAYERS as usize] }
    }

    /// Hears of each layer the share that does not get lost, until something changes or time is over.
    fn hear(&mut self, seconds: u32, loss: impl Fn(u8) -> f64) -> Option<Change> {
        for _ in 0..seconds * 4 {
            self.now = self.now.after(Duration::from_millis(250));
            for layer in 0..self.control.joined() {
                let mut due = 0.0;
                for _ in 0..self.pace * layer_rate(layer) {
                    let count = &mut self.counts[usize::from(layer)];
                    *count += 1;
                    due += loss(layer);
                    if due >= 1.0 {
                        due -= 1.0;
                        continue;
                    }
                    self.control.note(self.now, 1, Arrival { layer, count: *count, is_proven: true });
                }
            }
            let change = self.control.look(self.now);
            if change.is_some() {
                return change;
            }
        }
        None
    }

    /// Hears everything until so many layers have been tried and kept.
    fn climb(mut self, layers: u8) -> Self {
        for joined in 2..=layers {
            let tried = self.hear(20, |_| 0.0).unwrap();
            assert_eq!((tried.joined, tried.why), (joined, Why::Trial));
            let kept = self.hear(20, |_| 0.0).unwrap();
            assert_eq!((kept.joined, kept.why), (joined, Why::Kept));
        }
        self
    }
}

#[test]
fn layers_are_tried_one_by_one_up_to_the_most() {
    let mut heard = Heard::new(4).climb(4);
    assert_eq!(heard.hear(600, |_| 0.0), None);
}

#[test]
fn a_trial_ends_as_soon_as_it_raises_loss_and_the_next_comes_later_each_time() {
    let mut heard = Heard::new(4).climb(2);
    let mut waits = vec![];
    for _ in 0..4 {
        let before = heard.now;
        let tried = heard.hear(600, |_| 0.0).unwrap();
        waits.push(heard.now.since(before));
        let began = heard.now;
        let failed = heard.hear(20, |_| 0.3).unwrap();
        assert_eq!((tried.why, failed.joined, failed.why), (Why::Trial, 2, Why::Failed));
        assert!(heard.now.since(began) <= Duration::from_secs(1) && failed.losses.len() == 3, "{failed:?}");
    }
    assert!(waits[1] >= FIRST_WAIT && waits.windows(2).all(|pair| pair[1] > pair[0].mul_f64(1.2)), "{waits:?}");
}

#[test]
fn a_layer_of_which_nothing_comes_is_left() {
    let mut heard = Heard::new(4).climb(2);
    assert_eq!(heard.hear(20, |_| 0.0).unwrap().why, Why::Trial);
    let silent = heard.hear(20, |layer| f64::from(u8::from(layer == 2))).unwrap();
    assert_eq!((silent.joined, silent.why), (2, Why::Silent));
    // Also one that was heard before.
    let silent = heard.hear(7, |layer| f64::from(u8::from(layer == 1))).unwrap();
    assert_eq!((silent.joined, silent.why), (1, Why::Silent));
}

#[test]
fn loss_must_last_and_then_all_that_does_not_come_through_is_left() {
    let mut heard = Heard::new(5).climb(5);
    // Somebody else's trial.
    assert_eq!(heard.hear(3, |_| 0.5), None);
    assert_eq!(heard.hear(30, |_| 0.0), None);
    let left = heard.hear(20, |_| 0.8).unwrap();
    assert_eq!((left.joined, left.why), (2, Why::Loss));
    assert!(left.losses.iter().all(|loss| (0.7..0.9).contains(loss)) && left.losses.len() == 5, "{left:?}");
}

#[test]
fn loss_that_does_not_fall_when_a_layer_is_left_is_ambient() {
    let mut heard = Heard::new(3).climb(3);
    let left = heard.hear(20, |_| 0.1).unwrap();
    assert_eq!((left.joined, left.why), (2, Why::Loss));
    assert_eq!(heard.hear(20, |_| 0.1).unwrap().why, Why::Trial);
    assert_eq!(heard.hear(20, |_| 0.1).unwrap().why, Why::Kept);
    assert_eq!(heard.hear(600, |_| 0.1), None);
    // It must not hide that more is lost, nor outlive a link that gets better.
    assert_eq!(heard.hear(20, |_| 0.2).unwrap().why, Why::Loss);
    let mut heard = Heard::new(3).climb(3);
    let _ = (heard.hear(20, |_| 0.1), heard.hear(20, |_| 0.1), heard.hear(20, |_| 0.1));
    assert_eq!(heard.hear(30, |_| 0.0), None);
    assert_eq!(heard.hear(20, |_| 0.1).unwrap().why, Why::Loss);
}

#[test]
fn loss_that_falls_when_a_layer_is_left_was_of_our_making() {
    let mut heard = Heard::new(3).climb(3);
    assert_eq!(heard.hear(20, |_| 0.1).unwrap().joined, 2);
    let before = heard.now;
    assert_eq!(heard.hear(60, |_| 0.0).unwrap().why, Why::Trial);
    assert!(heard.now.since(before) >= FIRST_WAIT);
}

#[test]
fn too_few_packets_decide_nothing() {
    for pace in [0, 1] {
        assert_eq!(Heard { pace, ..Heard::new(4) }.hear(20, |_| 0.0), None);
    }
}

#[test]
fn without_a_release_all_but_the_base_layer_are_left() {
    let mut heard = Heard::new(4).climb(4);
    let idle = heard.control.rest(heard.now).unwrap();
    assert_eq!((idle.joined, idle.why), (1, Why::Idle));
    assert_eq!(heard.control.rest(heard.now), None);
    let _ = heard.climb(4);
}

#[test]
fn receivers_with_other_seeds_try_at_other_times() {
    let second_trial = |seed| {
        let mut heard = Heard::new(2);
        heard.control.random = seed;
        assert_eq!(heard.hear(20, |_| 0.0).unwrap().why, Why::Trial);
        assert_eq!(heard.hear(20, |_| 0.3).unwrap().why, Why::Failed);
        assert_eq!(heard.hear(60, |_| 0.0).unwrap().why, Why::Trial);
        heard.now
    };
    let times: std::collections::BTreeSet<_> = (0..20).map(second_trial).collect();
    assert!(times.len() > 5, "{times:?}");
}
