//! Columns line up, whatever is in them.

use super::{Cell, Colour, Column, Details, Table, Tone};

fn table() -> Table {
    let mut table =
        Table::new([Column::Left("NAME"), Column::Right("COUNT"), Column::Left("STATE")]);
    table.row([Cell::from("gr\u{fc}n"), "7".into(), Cell::toned("good", Tone::Good)]);
    table.row([Cell::from("a-long-name"), "12345678".into(), "".into()]);
    table.row([Cell::from("x\ny"), "".into(), Cell::toned("bad", Tone::Bad)]);
    table
}

#[test]
fn columns_are_aligned_by_characters() {
    let expected = "\
NAME            COUNT  STATE
gr\u{fc}n                7  good
a-long-name  12345678
x\\ny                   bad
";
    assert_eq!(table().render(Colour::Off), expected);
}

#[test]
fn colours_do_not_move_columns() {
    let coloured = table().render(Colour::On);
    assert!(coloured.contains("\u{1b}[32mgood\u{1b}[0m"), "{coloured}");
    let mut plain = coloured;
    for sequence in ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"] {
        plain = plain.replace(sequence, "");
    }
    assert_eq!(plain, table().render(Colour::Off));
}

#[test]
fn an_empty_table_has_its_titles() {
    assert_eq!(Table::new([Column::Left("TASK")]).render(Colour::Off), "TASK\n");
}

#[test]
fn details_line_up_and_leave_out_what_is_not_there() {
    let mut details = Details::default();
    details.line("task", "1");
    details.maybe("lease token", Some("42"));
    details.maybe("nothing", None::<String>);
    assert_eq!(details.render(Colour::Off), "task         1\nlease token  42\n");
}
