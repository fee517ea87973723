//! What a coordinator of one's own is started with.

use super::{Command, forget_settings};

#[test]
fn nobodys_settings_reach_the_coordinator() {
    let mut command = Command::new("true");
    let names = ["LEASEHOLD_LOG", "PATH", "LEASEHOLD_DATA", "MY_LEASEHOLD_LOG"];
    forget_settings(&mut command, names.into_iter().map(Into::into));
    let removed: Vec<_> = command.as_std().get_envs().map(|(name, _)| name).collect();
    assert_eq!(removed, ["LEASEHOLD_DATA", "LEASEHOLD_LOG"]);
}
