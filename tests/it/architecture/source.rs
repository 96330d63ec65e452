//! Reads Rust source just well enough to see its paths: no comments, no literals, no tests.
//!
//! Responsible for: tokens with their lines, paths with their modules resolved. Must never: know a rule.

/// A word, a `::` or one character of punctuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path such as `std::env::var`, its `crate`, `self` and `super` resolved to `crate::…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedPath {
    pub segments: Vec<String>,
    pub line: usize,
    /// Whether it stands in a `use`: a prefix is then as good as the whole.
    pub imported: bool,
}

/// The text with comments, literals and what is only compiled for tests turned into blanks. Lines stay where they are.
pub fn program(text: &str) -> String {
    without_tests(&without_literals(text))
}

/// The line, from 1, on which a module of tests begins; one more than there are lines if none does.
pub fn first_line_of_tests(text: &str) -> usize {
    let code = without_literals(text);
    test_items(&code)
        .into_iter()
        .find(|(from, to)| code[*from..*to].contains("mod "))
        .map_or(text.lines().count(), |(from, _)| code[..from].matches('\n').count())
        + 1
}

fn without_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at).unwrap_or(at);
        if end == at {
            out.push(if chars[at].is_ascii() { chars[at] } else { '_' });
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The end of the comment or literal that begins at `at`; nothing if none does.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let is = |offset: usize, expected: char| chars.get(at + offset) == Some(&expected);
    let in_word = at > 0 && is_word(chars[at - 1]);
    match chars[at] {
        '/' if is(1, '/') => Some(find(chars, at, |i| chars[i] == '\n')),
        '/' if is(1, '*') => Some(block_comment_end(chars, at)),
        '"' => Some(string_end(chars, at + 1)),
        'b' | 'c' if !in_word && is(1, '"') => Some(string_end(chars, at + 2)),
        'b' | 'c' if !in_word && is(1, 'r') => raw_string_end(chars, at + 2),
        'r' if !in_word => raw_string_end(chars, at + 1),
        '\'' if is(1, '\\') => Some(find(chars, at + 3, |i| chars[i] == '\'') + 1),
        '\'' if is(2, '\'') => Some(at + 3),
        _ => None,
    }
}

fn find(chars: &[char], from: usize, is_end: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|i| is_end(*i)).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') if depth == 1 => return i + 2,
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let quote = find(chars, at, |i| chars[i] != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - at;
    let closes = |i: usize| {
        chars[i] == '"' && chars.iter().skip(i + 1).take(hashes).filter(|c| **c == '#').count() == hashes
    };
    Some((find(chars, quote + 1, closes) + 1 + hashes).min(chars.len()))
}

fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for (from, to) in test_items(code) {
        let blank: String = code[from..to].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(from..to, &blank);
    }
    out
}

/// Where the items are that begin with `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(found) =
        ["#[cfg(test)]", "#[cfg(all(test"].iter().filter_map(|a| code[from..].find(a)).min()
    {
        let start = from + found;
        let mut depth = 0_usize;
        let end = code[start..]
            .char_indices()
            .find(|(_, c)| {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && matches!(c, ';' | '}')
            })
            .map_or(code.len(), |(i, _)| start + i + 1);
        items.push((start, end));
        from = end;
    }
    items
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The tokens of a program.
pub fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                tokens.push(Token { text: rest[..length].to_owned(), line: number + 1 });
            }
            rest = &rest[length..];
        }
    }
    tokens
}

/// Every path of two segments or more, and everything that is imported. `module` is that of the file.
pub fn paths(tokens: &[Token], module: &[String]) -> Vec<UsedPath> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let next = tokens.get(at + 1).map(|t| t.text.as_str());
        match tokens[at].text.as_str() {
            "use" if next != Some("<") => at = use_tree(tokens, at + 1, &[], &mut found),
            "extern" if next == Some("crate") => at = use_tree(tokens, at + 2, &[], &mut found),
            _ if starts_path(tokens, at) => {
                let (segments, end) = segments(tokens, at);
                if segments.len() > 1 {
                    found.push(UsedPath { segments, line: tokens[at].line, imported: false });
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    for path in &mut found {
        path.segments = resolve(&path.segments, module);
    }
    found
}

fn starts_path(tokens: &[Token], at: usize) -> bool {
    tokens[at].text.starts_with(is_word) && (at == 0 || tokens[at - 1].text != ".")
}

/// `a::b::c` from `at` on, and where it ends. A `::` that leads to no word (`::<`, `::{`) ends it.
fn segments(tokens: &[Token], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = vec![tokens[at].text.clone()];
    at += 1;
    while at + 1 < tokens.len() && tokens[at].text == "::" && tokens[at + 1].text.starts_with(is_word) {
        segments.push(tokens[at + 1].text.clone());
        at += 2;
    }
    (segments, at)
}

/// One tree of a `use`, spread out into its paths. Returns where it ends.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<UsedPath>) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |t| t.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while at < tokens.len() && tokens[at].text != "}" {
                    let end = use_tree(tokens, at, &path, found);
                    // What is no path, such as the comma, is stepped over.
                    at = if end < tokens.len() && tokens[end].text == "}" { end } else { end + 1 };
                }
                return at + 1;
            }
            "*" => at += 1,
            "self" if !path.is_empty() => at += 1,
            "as" => at += 2,
            word if word.starts_with(is_word) => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    found.push(UsedPath { segments: path, line, imported: true });
    at
}

fn resolve(segments: &[String], module: &[String]) -> Vec<String> {
    let crate_root = "crate".to_owned();
    let mut base = match segments.first().map(String::as_str) {
        Some("self" | "super") => [&[crate_root], module].concat(),
        _ => Vec::new(),
    };
    for segment in segments {
        match segment.as_str() {
            "super" if base.len() > 1 => drop(base.pop()),
            "super" | "self" => {}
            word => base.push(word.to_owned()),
        }
    }
    base
}
