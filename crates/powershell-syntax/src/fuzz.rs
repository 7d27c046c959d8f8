//! The fuzz target: the parser ends with a tree or with errors, whatever the text.

use crate::{Source, parse};

/// A script is parsed without a panic; every error lies in the text and the positions of its ends can be told.
pub fn fuzz_script(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = Source::new(None, text);
    let (block, errors) = parse(&source);
    assert!(block.span.end as usize <= text.len());
    for error in errors {
        let (start, end) = (error.span.start as usize, error.span.end as usize);
        assert!(text.get(start..end).is_some(), "{}: {:?} is not in the text", error.id, error.span);
        let _ = (source.line_number(error.span.start), source.column(error.span.end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither making the tree nor dropping it may exhaust the stack, whether the text nests or only goes on.
    #[test]
    fn a_stack_of_8_mib_is_enough_for_any_script() {
        // Debug builds take several times what release builds do.
        let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(deep_and_long).unwrap();
        thread.join().unwrap();
    }

    fn deep_and_long() {
        let nested = [
            ("(", "1", ")"),
            ("@(", "1", ")"),
            ("$(", "1", ")"),
            ("{", "1", "}"),
            ("@{a=", "1", "}"),
            ("\"$(", "1", ")\""),
            ("if(1){", "1", "}"),
            ("while(1){", "1", "}"),
            ("foreach($a in 1){", "1", "}"),
            ("switch(1){1{", "1", "}}"),
            ("try{", "1", "}finally{}"),
            ("function f{", "1", "}"),
            ("class c{m(){", "1", "}}"),
            ("a(", "1", ")"),
            ("$a.b(", "1", ")"),
            ("$a[", "1", "]"),
            ("[a[", "b", "]]"),
            ("[a(", "1", ")]$x"),
            ("param([a({", "1", "})]$x)"),
            ("${a", "", "}"),
            ("-not ", "1", ""),
            ("!", "1", ""),
            ("- ", "1", ""),
            ("++", "$a", ""),
            (",", "1", ""),
            ("[int]", "1", ""),
            ("1?", "1", ":1"),
            ("1?1:", "1", ""),
            ("$a=", "1", ""),
            ("a -b:", "1", ""),
            (":a ", "while(1){}", ""),
            ("& ", "a", ""),
            ("trap{", "1", "}"),
            ("data{", "1", "}"),
            ("begin{", "1", "}"),
        ];
        let long = [
            "1+",
            "1*",
            "1,",
            "1-f",
            "1..",
            "1 -and ",
            "1 -eq ",
            "1??",
            "$a.b",
            "$a::b",
            "$a[1]",
            "$a.b()",
            "$a++",
            "a|",
            "a;",
            "a&&",
            "a||",
            "a\n",
            "1 -join ",
            "[a]",
            "\"$a\"",
            "`",
            "#",
            "<#",
            "@'\n",
            "@\"\n",
            "'",
            "\"",
            "if(1){}else",
            "if(1){}elseif(1){}",
            "a>b ",
            "a 2>&1 ",
            "%",
            "$",
            "@",
            ".b",
            "::b",
            "[1]",
            "()",
            "?.b",
            "?[1]",
        ];
        for count in [50, 450, 50_000] {
            for (open, middle, close) in nested {
                fuzz_script([&open.repeat(count), middle, &close.repeat(count)].concat().as_bytes());
                fuzz_script(open.repeat(count).as_bytes());
            }
            for piece in long {
                fuzz_script(piece.repeat(count).as_bytes());
                fuzz_script(format!("$a{}1", piece.repeat(count)).as_bytes());
            }
        }
        let (_, errors) = parse(&Source::new(None, "(".repeat(50_000)));
        assert_eq!(errors.first().map(|e| e.id), Some("ScriptTooComplicated"));
        // Long lists are not deep; long chains are, up to a limit that no script comes near.
        for text in [
            format!("$x = @({}1)", "$a.b.c, ".repeat(20_000)),
            "f $a.b $a.c\n".repeat(20_000),
            format!("f {}", "$a.b ".repeat(20_000)),
            format!("$x = {}1", "1 + ".repeat(4_000)),
        ] {
            let (_, errors) = parse(&Source::new(None, text));
            assert!(errors.is_empty(), "{errors:?}");
        }
    }
}
