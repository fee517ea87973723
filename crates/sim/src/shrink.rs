//! From a schedule of faults that breaks a promise to a short one that breaks the same promise.

use crate::{plan::Plan, run, trace::Detail};

/// How many runs may be spent on one seed.
const RUNS_MAX: usize = 2_000;

/// Takes out faults, then wishes, as long as the same judge still sees a violation.
pub fn shrink(plan: &Plan) -> Plan {
    let mut best = plan.clone();
    let Some(judge) = judge_of(&best) else { return best };
    let mut runs = 0;
    loop {
        let before = (best.faults.len(), best.wishes.len());
        shrink_list(&mut best, judge, &mut runs, |plan| &mut plan.faults);
        shrink_list(&mut best, judge, &mut runs, |plan| &mut plan.wishes);
        if before == (best.faults.len(), best.wishes.len()) || RUNS_MAX <= runs {
            return best;
        }
    }
}

/// Tries to do without each element of one of the plan's lists: first without many, then one by one.
fn shrink_list<T>(
    best: &mut Plan,
    judge: &str,
    runs: &mut usize,
    list: impl Fn(&mut Plan) -> &mut Vec<T>,
) {
    let mut chunk = list(best).len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < list(best).len() && *runs < RUNS_MAX {
            let mut tried = best.clone();
            let end = (at + chunk).min(list(&mut tried).len());
            list(&mut tried).drain(at..end);
            *runs += 1;
            if judge_of(&tried) == Some(judge) {
                *best = tried;
            } else {
                at = end;
            }
        }
        if chunk == 1 || RUNS_MAX <= *runs {
            return;
        }
        chunk = chunk.div_ceil(2);
    }
}

fn judge_of(plan: &Plan) -> Option<&'static str> {
    run::plan(plan.clone(), Detail::Silent).violation.map(|violation| violation.judge)
}
