//! What is configured for a queue reaches it.

use std::path::Path;

use super::*;

#[test]
fn what_is_configured_reaches_the_queue() {
    let text = "queues: {aging_every: 9, create: false, settings: {a: {weight: 3, weights: {red: 2}}, \
                b: {late_results: accept-if-newest}}}\nlimits: {worker_losses: 7, attempt_timeout: 5m}\n\
                retention: {keys: 2h}\nsession: {ttl: 8s}\n";
    let told = queue(&Config::parse(text, Path::new("c.yaml")).unwrap());
    assert_eq!((told.valve, told.weights["a"].queue, told.weights["a"].keys["red"]), (9, 3, 2));
    assert_eq!(told.declared_queues, ["a".into(), "b".into()].into());
    assert_eq!(told.late_results, ["b".into()].into());
    assert_eq!((told.create_queues, told.worker_losses_max), (false, 7));
    let seconds = [told.attempt_max, told.key_retention, told.session_ttl].map(|it| it.as_secs());
    assert_eq!(seconds, [300, 7_200, 8]);
}
