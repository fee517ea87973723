//! Metadata as people write it, and what is said back.

use super::*;

fn parse(keys: &[(&str, &str)]) -> Result<Trigger, Refusal> {
    let metadata = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Trigger::parse(&metadata.collect())
}

#[test]
fn what_is_left_out_is_the_decision_for_the_default_pool() {
    let trigger = parse(&[("scalerAddress", "leasehold:7171"), ("enableTLS", "true")]).unwrap();
    assert_eq!(trigger, parse(&[]).unwrap());
    assert_eq!((trigger.metric, &*trigger.pool()), (Metric::DesiredWorkers, "default"));
    assert_eq!((trigger.target, trigger.activation), (None, None));
}

#[test]
fn every_key_is_read() {
    let trigger = parse(&[
        ("metric", "work"),
        ("workerPool", "Thumbs_1"),
        ("taskTypes", "a, b/c ,"),
        ("queueFromEnv", " q.1 "),
        ("namespace", "default"),
        ("target", "2.5"),
        ("activationTarget", "0"),
    ])
    .unwrap();
    let expected = Question {
        pool: Some("Thumbs_1".into()),
        task_types: ["a".into(), "b/c".into()].into(),
        queues: Some(Queues::One("q.1".into())),
    };
    assert_eq!(trigger.question, expected);
    assert_eq!((trigger.metric, trigger.target), (Metric::Work, Some(2.5)));
    assert_eq!(trigger.activation, Some(0.0));
    assert_eq!(trigger.name(), "leasehold-work-thumbs-1-q-1");
}

#[test]
fn a_namespace_says_whose_tasks_are_measured() {
    for (keys, expected) in [
        (&[][..], None),
        (&[("namespace", "default")], Some(Queues::Of("default".into()))),
        (&[("namespace", "team")], Some(Queues::Of("team".into()))),
        (&[("queue", "q")], Some(Queues::One("q".into()))),
        (&[("queue", "q"), ("namespace", "team")], Some(Queues::One("team/q".into()))),
    ] {
        let trigger = parse(&[&[("metric", "work")], keys].concat()).unwrap();
        assert_eq!(trigger.question.queues, expected, "{keys:?}");
    }
    // Of workers that are scaled the old word still says nothing.
    assert_eq!(parse(&[("namespace", "default")]).unwrap().question.queues, None);
}

#[test]
fn every_metric_has_a_name_of_its_own() {
    let names: BTreeSet<String> = METRICS
        .split(", ")
        .map(|metric| parse(&[("metric", metric)]).unwrap().name())
        .inspect(|name| {
            let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
            assert!(name.chars().all(plain), "{name}");
        })
        .collect();
    assert_eq!(names.len(), 7);
    assert!(names.contains("leasehold-desired-workers-default"), "{names:?}");
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    for (keys, expected) in [
        (&[("metric", "wrk")][..], vec![format!("metric: is \"wrk\", not one of {METRICS}")]),
        (
            &[("workerPool", "a b")],
            vec!["workerPool: must be 1 to 128 characters of [A-Za-z0-9._-]".to_owned()],
        ),
        (
            &[("metric", "work"), ("queue", "a b")],
            vec!["queue: is \"a b\", not 1 to 128 characters of [A-Za-z0-9._-]".to_owned()],
        ),
        (
            &[("queue", "a")],
            vec![
                "queue: workers are not scaled by queue: leave it out, or choose another metric"
                    .to_owned(),
            ],
        ),
        (
            &[("taskTypes", "a b,c")],
            vec!["taskTypes: must be task types with commas between them; \"a b\" is none".to_owned()],
        ),
        (
            &[("namespace", "prod")],
            vec![
                "namespace: workers are not scaled by namespace: leave it out, or choose another metric"
                    .to_owned(),
            ],
        ),
        (
            &[("metric", "work"), ("namespace", "a/b")],
            vec!["namespace: is \"a/b\", not 1 to 63 characters of [A-Za-z0-9._-]".to_owned()],
        ),
        (
            &[("target", "0"), ("activationTarget", "-1")],
            vec![
                "target: is \"0\", not a number more than 0".to_owned(),
                "activationTarget: is \"-1\", not a number no less than 0".to_owned(),
            ],
        ),
        (&[("target", "NaN")], vec!["target: is \"NaN\", not a number more than 0".to_owned()]),
        (
            &[("metrik", "work")],
            vec![
                "metrik: is no key of this scaler, which has metric, workerPool, taskTypes, queue, namespace, \
                 target, activationTarget"
                    .to_owned(),
            ],
        ),
    ] {
        let refused = parse(keys).unwrap_err();
        let said: Vec<String> = refused
            .violations
            .iter()
            .map(|it| {
                let key = it.field.strip_prefix("scalerMetadata.").unwrap();
                format!("{key}: {}", it.description)
            })
            .collect();
        assert_eq!(said, expected, "{keys:?}");
    }
}
