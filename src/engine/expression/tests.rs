//! Expressions: tables of mistakes, of what is read, and of results.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn mistakes(source: &str) -> Vec<String> {
    match Expression::compile(source) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

fn check_mistakes(source: &str, expected: &[&str]) {
    assert_eq!(mistakes(source), expected, "{source}");
}

fn evaluated(source: &str, input: &Value) -> Result<bool, String> {
    let expression = Expression::compile(source).unwrap_or_else(|mistakes| panic!("{source}: {mistakes:?}"));
    let outputs = json!({"url": "https://a", "ready": true, "count": 3, "tags": ["x", "y"]});
    let (input, outputs, nothing) = (input.as_object().unwrap(), outputs.as_object().unwrap(), Object::new());
    let scope = Scope::new(input)
        .with_activity("build", "Succeeded", outputs)
        .with_activity("tenant-config", "Succeeded", outputs)
        // As the engine has it: nothing instead of no outputs.
        .with_activity("skipped", "Skipped", &nothing);
    expression.evaluate(&scope)
}

fn check(source: &str, expected: Result<bool, &str>) {
    let input = json!({
        "cell": "c1", "dark": false, "count": 3, "ratio": 1, "half": 0.5, "big": 9_007_199_254_740_993_i64,
        "owner": {"email": "a@example.com", "first-name": "Ann", "none": null},
        "hosts": [{"name": "a", "ports": [80, 443]}, {"name": "b", "ports": []}],
        "names": ["x", "y"], "labels": {"app": "shop", "tier": "web"}, "when": "2026-01-31T12:00:00Z",
    });
    let found = evaluated(source, &input).map_err(|why| without_place(&why));
    assert_eq!(found, expected.map_err(str::to_owned), "{source}");
}

/// What is said behind the place.
fn without_place(why: &str) -> String {
    let (place, words) = why.split_once(": ").unwrap_or_default();
    assert!(place.starts_with("line ") && place.contains(" column "), "{why}");
    words.to_owned()
}

#[test]
fn values_are_read_and_compared() {
    check("input.cell != \"dark\"", Ok(true));
    check("input.cell == 'c1' && !input.dark", Ok(true));
    check("input.count > 2 && input.count <= 3", Ok(true));
    check("input[\"owner\"][\"first-name\"] == \"Ann\"", Ok(true));
    check("input.hosts[0].ports[1] == 443", Ok(true));
    check("input.owner.email.endsWith(\"@example.com\")", Ok(true));
    check("activities.build.state == \"Succeeded\" && activities.build.outputs.ready", Ok(true));
    check("activities[\"tenant-config\"].outputs.count == input.count", Ok(true));
    check("activities.skipped.state == 'Skipped'", Ok(true));
    check("has(activities.skipped.outputs) && activities.skipped.outputs == {}", Ok(true));
    check("has(activities.skipped.outputs.url)", Ok(false));
    check("has(input.owner.email) && !has(input.owner.phone)", Ok(true));
    check("has(input.owner.none)", Ok(false));
    check("input.dark ? input.count > 5 : input.count < 5", Ok(true));
    check("// a comment\ninput.dark || true", Ok(true));
}

#[test]
fn numbers_are_equal_as_numbers_and_exact() {
    check("input.ratio == 1.0 && 1.0 == input.ratio && input.ratio != 1.5", Ok(true));
    check("input.ratio in [1.0, 2.0]", Ok(true));
    check("[1, 2.0] == [1.0, 2]", Ok(true));
    check("input.half * 2.0 == 1.0", Ok(true));
    check("input.big == 9007199254740993", Ok(true));
    check("input.big == 9007199254740992", Ok(false));
    check("input.count == 3u", Ok(true));
}

#[test]
fn collections_are_asked() {
    check("input.hosts.exists(h, h.name == 'b') && !input.hosts.all(h, size(h.ports) > 0)", Ok(true));
    check("input.hosts.filter(h, 80 in h.ports).map(h, h.name) == ['a']", Ok(true));
    check("input.hosts.map(h, h.ports.size() > 0, h.name) == ['a']", Ok(true));
    check("input.names.exists_one(n, n == 'x')", Ok(true));
    check("'app' in input.labels && !('x' in input.labels)", Ok(true));
    check("input.labels.all(key, input.labels[key].size() > 2)", Ok(true));
    check("'y' in activities.build.outputs.tags", Ok(true));
    check("{'a': 1}.a == 1", Ok(true));
    check("input.hosts.all(h, h.ports.all(p, p in [80, 443].map(x, x)))", Ok(true));
    check("input.names.all(name, name.matches('^[a-z]$'))", Ok(true));
}

#[test]
fn the_functions_of_kubernetes_are_there() {
    check("input.names.isSorted() && [1, 2].sum() == 3 && input.names.indexOf('y') == 1", Ok(true));
    check("'a,b'.split(',').join('-') == 'a-b' && ' x '.trim().upperAscii() == 'X'", Ok(true));
    check("quantity('1Gi').isGreaterThan(quantity('1G'))", Ok(true));
    check("isIP('10.0.0.1') && cidr('10.0.0.0/8').containsIP('10.1.2.3')", Ok(true));
    check("url('https://a:80/b').getHost() == 'a:80'", Ok(true));
    check("semver('1.2.3').isLessThan(semver('2.0.0'))", Ok(true));
    check("sets.contains([1, 2], [1]) && math.greatest(1, 2) == 2", Ok(true));
    check("'abc123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2']", Ok(true));
    check("'a1b2'.findAll('[0-9]', 1) == ['1'] && !'abc'.matches('^\\\\d$')", Ok(true));
    check("timestamp(input.when) > timestamp('2026-01-01T00:00:00Z')", Ok(true));
    check("duration('90s') == duration('1m30s') && '%s-%d'.format(['a', 1]) == 'a-1'", Ok(true));
    check("string(input.count) == '3' && int('3') == 3 && double(1) == 1.0", Ok(true));
}

#[test]
fn a_text_is_as_long_as_it_has_characters() {
    check("size('äöü') == 3 && 'äöü'.size() == 3 && size('🦀') == 1 && size('') == 0", Ok(true));
    check("'a\u{301}'.size() == 2", Ok(true));
    check("size(b'äöü') == 6 && size(['äöü']) == 1 && size({'äöü': 1}) == 1", Ok(true));
    check("input.names.all(n, n.size() == 1) && input.owner.size() == 2", Ok(true));
    check("size(input.count) == 1", Err("size: only strings, bytes, lists and objects have a size"));
    check("input.dark.size() == 1", Err("size: only strings, bytes, lists and objects have a size"));
    check("size(input.none) == 1 || input.none.size() == 1", Err("no such key \"none\""));
    check("[1, 2].sum() == 3 && [].sum() == 0 && [0.5, 0.5].sum() == 1.0", Ok(true));
}

#[test]
fn in_a_loop_an_element_that_decides_wins_over_one_that_fails() {
    let none = "no such key \"none\"";
    check("[1, 2].exists(x, input.none == x || x == 2)", Ok(true));
    check("[1, 0, 2].exists(x, 2 / x == 1)", Ok(true));
    check("[0, 1, 2].exists(x, 2 / x == 1)", Ok(true));
    check("[0, 1, 2].exists(x, 2 / x == 7)", Err("division by zero"));
    check("[1, 0, 2].all(x, 2 / x == 2)", Ok(false));
    check("[0, 1, 2].all(x, 2 / x == 2)", Ok(false));
    check("[1, 0, 2].all(x, 2 / x > 0)", Err("division by zero"));
    check("input.hosts.exists(h, h.none == 1)", Err(none));
    check("input.hosts.all(h, h.name == 'a' || h.none == 1)", Err(none));
    check("input.hosts.exists(h, h.none == 1 || h.name == 'b')", Ok(true));
    // Of several errors the first; also one that is no boolean.
    check("[0, 1].exists(x, 1 / x == 7 || x == 1 && input.none)", Err("division by zero"));
    let types = "an operator or function is applied to values of types that it is not for";
    check("input.names.exists(n, input.cell)", Err(types));
    check("[1, 'x', true].exists(x, x == true || x)", Ok(true));
    // Loops in loops, and what is around them.
    check("[0, 1].exists(x, [0, 1].exists(y, y / x == 1))", Ok(true));
    check("[0, 1].all(x, [0, 1].all(y, y / x == 1))", Ok(false));
    check("[0].all(x, [1].exists(y, y / x == 1))", Err("division by zero"));
    check("[0].exists(x, 1 / x == 1) || true", Ok(true));
    check("!([0].all(x, 1 / x == 1) && false)", Ok(true));
    check("has(input.none) || ![].exists(x, x == input.none)", Ok(true));
    // The others do not absorb: they need every element.
    check("[0, 1].exists_one(x, 1 / x == 1)", Err("division by zero"));
    check("[0, 1].filter(x, 1 / x == 1).size() == 1", Err("division by zero"));
    check("[0, 1].map(x, 1 / x).size() == 2", Err("division by zero"));
}

#[test]
fn times_and_durations_end_at_their_ranges() {
    let day = |text: &str| format!("timestamp('{text}') > timestamp('2026-01-01T00:00:00Z')");
    check(&day("9999-12-31T23:59:59.999999999Z"), Ok(true));
    check(&day("0001-01-01T00:00:00Z"), Ok(false));
    let years = "timestamp: out of range: the years 1 to 9999 are allowed";
    check(&day("0000-12-31T23:59:59Z"), Err(years));
    check(&day("9999-12-31T23:59:59-00:01"), Err(years));
    check(&day("0001-01-01T00:00:00+00:01"), Err(years));
    let long = "duration: out of range: at most 2562047h47m16s are allowed, about 292 years";
    check("duration('2562047h') > duration('1s')", Ok(true));
    check("duration('2562048h') > duration('1s')", Err(long));
    check("duration('-99999999999999999999h') < duration('1s')", Err(long));
    let form = "duration: no duration; one is written like 1h30m, 1.5s or 200ms";
    check("duration('1h later') > duration('1s')", Err(form));
    check("duration('1') > duration('1s')", Err(form));
    check(
        "duration('0.1s') == duration('100ms') && duration('-1h') + duration('1h') == duration('0')",
        Ok(true),
    );
    // Also what comes of them.
    check("duration('2562047h') + duration('2562047h') > duration('1s')", Err("overflow in add"));
    check("duration('-2562047h') - duration('2562047h') < duration('1s')", Err("overflow in sub"));
    let times = "timestamp('9999-12-31T00:00:00Z') - timestamp('0001-01-01T00:00:00Z')";
    check(&format!("{times} > duration('1s')"), Err("overflow in sub"));
    check(
        "timestamp('9999-12-31T00:00:00Z') + duration('24h') > timestamp('2026-01-01T00:00:00Z')",
        Err("overflow in add"),
    );
    check(
        "timestamp('0001-01-01T00:00:00Z') - duration('1ns') < timestamp('2026-01-01T00:00:00Z')",
        Err("overflow in sub"),
    );
    check(
        "timestamp('2026-01-01T00:00:00Z') + duration('24h') == timestamp('2026-01-02T01:00:00+01:00')",
        Ok(true),
    );
    check("timestamp(input.when) - timestamp('2026-01-31T11:00:00Z') == duration('1h')", Ok(true));
    check("input.owner.email + input.cell == 'a@example.comc1' && b'a' + b'b' == b'ab'", Ok(true));
    check("(input.names + input.names).size() == 4 && input.count + input.count == 6", Ok(true));
}

#[test]
fn errors_at_run_time_are_sentences() {
    check("input.nothing == 1", Err("no such key \"nothing\""));
    check("input.owner.none == 1", Err("no such key \"none\""));
    check("activities.skipped.outputs.url == ''", Err("no such key \"url\""));
    check("activities.missing.state == ''", Err("no such key \"missing\""));
    check("input.count / 0 == 1", Err("division by zero"));
    check("input.count % 0 == 1", Err("remainder of a division by zero"));
    check("input.big * input.big == 1", Err("overflow in mul"));
    check("input.names[5] == 'x'", Err("the list has no element 5"));
    check("input.cell", Err("must be a boolean, is a string"));
    check("input.hosts", Err("must be a boolean, is a list"));
    check("input.cell > 1", Err("\">\" cannot compare a string with an integer"));
    check(
        "input.count + input.half > 1.0",
        Err("\"+\" cannot be applied to an integer and a floating-point number"),
    );
    check("input.cell.length == 2", Err("a string has no members, so no \"length\""));
    check("input.names['x'] == 'x'", Err("a list has no members, so no \"x\""));
    check("input.cell[input.count] == 'x'", Err("a string has no elements"));
    check("input.cell && true", Err("\"&&\" needs two booleans, one side is a string"));
    check("false || input.cell", Err("\"||\" needs two booleans, one side is a string"));
    check("!input.cell", Err("\"!\" needs a boolean, this is a string"));
    check("-input.cell == 1", Err("\"-\" needs a number, this is a string"));
    check("input.cell ? true : false", Err("\"?\" needs a boolean before it, this is a string"));
    check("input.count in input.cell", Err("\"in\" needs a list or an object after it, this is a string"));
    check("input.cell.all(x, true)", Err("only lists and objects have elements, this is a string"));
    check("input.count.startsWith('x')", Err("\"startsWith\" is not for an integer and a string"));
    check("double(input.hosts) == 1.0", Err("double: cannot convert"));
    check(
        "input.cell.matches('(?=a)' + input.cell)",
        Err("matches: UnsupportedPattern: look-around and back-references cannot be matched in linear time"),
    );
    check("int(input.cell) == 1", Err("int: string parse error: invalid digit found in string"));
    check("quantity(input.cell).isInteger()", Err("quantity: no numeric value in 'c1'"));
    // What decides already needs no more.
    check("true || input.nothing", Ok(true));
    check("input.nothing == 1 || true", Ok(true));
    check("has(input.nothing) && input.nothing == 1", Ok(false));
}

#[test]
fn the_interpreter_is_never_left_to_panic() {
    let check = |source: &str, expected: Result<bool, &str>| {
        let found = Expression::compile(source).unwrap().evaluate(&Scope::new(&Object::new()));
        let found = found.map_err(|why| without_place(&why));
        assert_eq!(found, expected.map_err(str::to_owned), "{source}");
    };
    check("math.bitShiftLeft(1, 64) == 0", Err("math.bitShiftLeft: shift amount must be between 0 and 63"));
    check("math.abs(-9223372036854775807 - 1) == 0", Err("math.abs: integer overflow"));
    check("'%.99999999999f'.format([1.0]) == ''", Err("format: cannot be evaluated"));
    check("'%.70000f'.format([1.0]) == ''", Err("format: cannot be evaluated"));
    check(
        "timestamp('9999-12-31T23:59:59Z') + duration('9999999h') > timestamp('2026-01-01T00:00:00Z')",
        Err("duration: out of range: at most 2562047h47m16s are allowed, about 292 years"),
    );
    check(
        "duration('99999999999999999999h') > duration('1s')",
        Err("duration: out of range: at most 2562047h47m16s are allowed, about 292 years"),
    );
    check("-(-9223372036854775807 - 1) > 0", Err("overflow in neg"));
    check("[1, 'a', true].sort() == []", Err("compare: cannot compare values of different types"));
    check("'abc'.substring(-1) == ''", Err("substring: start index -1 out of range for string of length 3"));
    check("'äöü'.charAt(1) == 'ö' && 'ä'.substring(1) == ''", Ok(true));
    check("[1].slice(5, 2) == []", Err("slice: slice(5, 2) out of range for list of length 1"));
    check("optional.none().value() == 1", Err("value: optional.none() dereference"));
    check("[].min() == 1", Err("min: cannot call min on empty list"));
    check("{[1]: 2} == {}", Err("an operator or function is applied to values of types that it is not for"));
    check("'a'.replace('', 'b') == ''", Ok(false));
    check("format.named('x') == 1", Ok(false));
    check("!'a'.contains('b')", Ok(true));
    check("double('NaN') > 1.0", Err("\">\" compares NaN, which has no order"));
    check("uint(-1) == 0u", Err("uint: unsigned integer overflow"));
    check("[1, 2].flatten(-1) == []", Err("flatten: depth must be non-negative"));
    check("ip('::1').family() == 6", Ok(true));
    check("base64.decode('???') == b''", Err("base64.decode: Invalid symbol 63, offset 0."));
    check("duration('1s') - duration('-2562047h') < duration('0')", Ok(false));
    check(
        "string(timestamp('9999-12-31T00:00:00Z') - timestamp('1980-01-01T00:00:00Z')) == ''",
        Err("overflow in sub"),
    );
    check("timestamp('2026-01-31T12:00:00Z').getDayOfYear() == 30", Ok(true));
    check("int(9.3e18) == 1", Err("int: integer overflow"));
    check("math.bitShiftRight(1, -1) == 0", Err("math.bitShiftRight: shift amount must be between 0 and 63"));
    check(
        "'a'.charAt(9223372036854775807) == ''",
        Err("charAt: index 9223372036854775807 out of range for string of length 1"),
    );
    check("'abc'.substring(2, 1) == ''", Err("substring: end index 1 out of range"));
    check(
        "quantity('9223372036854775807').add(quantity('1')).asInteger() == 1",
        Err("asInteger: quantity too large for integer"),
    );
    check("[9223372036854775807, 1].sum() == 0", Err("overflow in add"));
    check("cidr('10.0.0.0/8').masked().prefixLength() == 8", Ok(true));
    check("'%d'.format(['a']) == ''", Err("format: %d requires int or uint, got String"));
    check(
        "math.round(1.0e300) == 1.0e300 && math.sqrt(-1.0) > 0.0",
        Err("\">\" compares NaN, which has no order"),
    );
    check("{1: 2}[1] / 0 == 1", Err("division by zero"));
}

#[test]
fn syntax_errors_have_a_place() {
    check_mistakes("input.a ==", &["line 1 column 11: syntax error: mismatched input the end"]);
    check_mistakes("", &["line 1 column 1: syntax error: mismatched input the end"]);
    check_mistakes("input.a ==\n  && true", &["line 2 column 3: syntax error: extraneous input '&&'"]);
    check_mistakes("input.a = 1", &["line 1 column 9: syntax error: token recognition error at: '= '"]);
    check_mistakes("'abc", &["line 1 column 1: syntax error: token recognition error at: ''abc'"]);
    check_mistakes("input.a == 99999999999999999999", &["line 1 column 12: invalid int literal"]);
    check_mistakes("input.a.all(1, true)", &["line 1 column 13: argument must be a simple name"]);
    let optional = "optional selections (.?, [?, {?) are not supported; ask has(…) first";
    check_mistakes("input.?a == 1", &[&format!("line 1 column 7: {optional}")]);
    check_mistakes("true &&\n input.a[?0] == 1", &[&format!("line 2 column 10: {optional}")]);
    check_mistakes("{?'a': 1} == {}", &[&format!("line 1 column 2: {optional}")]);
}

#[test]
fn negations_cancel_each_other_out() {
    check("!!true && !!!false && !! !!input.dark == input.dark", Ok(true));
    check("1 - -1 == 2 && 1--1 == 2 && --1 == 1 && - - -1 == -1", Ok(true));
    check("input.count - - - 1 == 2 && input.count - -input.count == 6 && -(-1) == 1", Ok(true));
    check("[- -1, 1 -1] == [1, 0] && '--' + '!!' == '--!!'", Ok(true));
    check_mistakes(
        "!!input.a &&\n  inptu.b",
        &[
            "line 2 column 3: unknown variable \"inptu\" (did you mean \"input\"?); there are input, activities and schedule",
        ],
    );
}

#[test]
fn a_function_is_called_as_it_is_meant() {
    check_mistakes(
        "'abc'.contains('b', 'z') ||\n  contains('abc', 'b')",
        &[
            "line 1 column 7: \"contains\" takes 1 argument here, and is given 2",
            "line 2 column 3: \"contains\" is called behind a value, with 1 argument: x.contains(…)",
        ],
    );
    check_mistakes(
        "input.a.contains('b') && input.b.contains(input.c.contains())",
        &["line 1 column 51: \"contains\" takes 1 argument here, and is given 0"],
    );
    check_mistakes(
        "size() == 0 && input.size(1) == 0 && 'a'.int() == 1",
        &[
            "line 1 column 1: \"size\" takes 1 argument here, and is given 0",
            "line 1 column 22: \"size\" takes no argument here, and is given 1",
            "line 1 column 42: \"int\" is called by itself, with 1 argument: int(…)",
        ],
    );
    check_mistakes(
        "true && math.abs(1, 2) == 1 && sets.contains([1]) && input.l.sum(1) == 1",
        &[
            "line 1 column 9: \"math.abs\" takes 1 argument here, and is given 2",
            "line 1 column 32: \"sets.contains\" takes 2 arguments here, and is given 1",
            "line 1 column 62: \"sum\" takes no argument here, and is given 1",
        ],
    );
    check_mistakes(
        "type(input.a) == int",
        &[
            "line 1 column 1: \"type\" is not supported: a type is no value here",
            "line 1 column 18: unknown variable \"int\"; there are input, activities and schedule",
        ],
    );
    check("dyn(input.count) == 3 && bool('true') && !bool('f') && bool(true)", Ok(true));
    check("bool(input.cell)", Err("bool: no boolean; it is written true or false"));
    check("'abc'.split('') == ['a', 'b', 'c'] && ''.split('') == [] && ''.split(',') == ['']", Ok(true));
    check("'äöü'.split('', 2) == ['ä', 'öü'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']", Ok(true));
    check("'a,b'.split(',', 0) == [] && 'a,b'.split(',', -1) == ['a', 'b']", Ok(true));
    check("string(true) == 'true' && string(0.5) == '0.5' && string(ip('10.0.0.1')) == '10.0.0.1'", Ok(true));
}

#[test]
fn times_are_read_in_utc_or_in_the_zone_that_is_told() {
    let at = |part: &str| format!("timestamp('2026-07-31T23:30:15.25+02:00').{part}");
    let utc = ["getHours() == 21", "getDate() == 31", "getMonth() == 6", "getMilliseconds() == 250"];
    utc.iter().for_each(|part| check(&at(part), Ok(true)));
    let paris =
        ["getHours('Europe/Paris') == 23", "getDayOfWeek('Europe/Paris') == 5", "getMinutes('+05:45') == 15"];
    paris.iter().for_each(|part| check(&at(part), Ok(true)));
    let tokyo =
        ["getDate('Asia/Tokyo') == 1", "getMonth('Asia/Tokyo') == 7", "getDayOfMonth('Asia/Tokyo') == 0"];
    tokyo.iter().for_each(|part| check(&at(part), Ok(true)));
    check(
        "timestamp(input.when).getHours('-07:30') == 4 && timestamp(input.when).getFullYear() == 2026",
        Ok(true),
    );
    check("timestamp('9999-12-31T23:59:59Z').getDayOfYear() == 364", Ok(true));
    check(
        "timestamp('9999-12-31T23:59:59Z').getHours('+01:00') == 0",
        Err("getHours: out of range in this zone"),
    );
    check("duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90", Ok(true));
    check("duration('1h').getHours('Asia/Tokyo') == 1", Err("getHours: a duration has no zone"));
    check("dyn(duration('1h')).getDate() == 1", Err("getDate: is for timestamps, this is a duration"));
    check(
        "timestamp(input.when).getHours(input.cell) == 1",
        Err(
            "getHours: \"c1\" is no time zone: name a place such as Europe/Paris, or a difference such as +02:00",
        ),
    );
    check_mistakes(
        "timestamp(input.t).getHours('Europe/Pari') == 1 && timestamp(input.t).getDate('UTC', 'x') == 1",
        &[
            "line 1 column 20: getHours: \"Europe/Pari\" is not a name of the IANA time zone database (did you mean \"Europe/Paris\"?)",
            "line 1 column 71: \"getDate\" takes at most 1 argument here, and is given 2",
        ],
    );
    check("string(timestamp(input.when)) == '2026-01-31T12:00:00Z'", Ok(true));
    check("string(timestamp('2026-01-31T12:00:00.50+02:00')) == '2026-01-31T12:00:00.5+02:00'", Ok(true));
    check("string(duration('1h30m')) == '5400s' && string(duration('-200ms')) == '-0.2s'", Ok(true));
}

#[test]
fn errors_at_run_time_have_a_place() {
    let why = |source: &str| evaluated(source, &json!({"a": "x", "l": [0], "o": {}})).unwrap_err();
    assert_eq!(why("input.a == 'x' &&\n  input.o.none == 1"), "line 2 column 3: no such key \"none\"");
    assert_eq!(
        why("true && input.a.size() + input.l > 1"),
        "line 1 column 9: \"+\" cannot be applied to an integer and a list"
    );
    assert_eq!(why("true && 1 / input.l[0] == 1"), "line 1 column 9: division by zero");
    assert_eq!(why("input.a == 'x' ? input.none : true"), "line 1 column 18: no such key \"none\"");
    assert_eq!(why("string(input.none) == 'x'"), "line 1 column 8: no such key \"none\"");
    assert_eq!(why("double(input.none) == 1.0"), "line 1 column 8: no such key \"none\"");
    assert_eq!(
        why("true && '%d'.format(['a']) == ''"),
        "line 1 column 9: format: %d requires int or uint, got String"
    );
    // Of a loop, the loop.
    assert_eq!(why("true && input.l.all(x, 1 / x == 1)"), "line 1 column 9: division by zero");
    assert_eq!(why("input.a"), "line 1 column 1: must be a boolean, is a string");
}

#[test]
fn unknown_names_are_told_with_their_places() {
    check_mistakes(
        "inputs.a == 1 ||\n  ouput.b",
        &[
            "line 1 column 1: unknown variable \"inputs\" (did you mean \"input\"?); there are input, activities and schedule",
            "line 2 column 3: unknown variable \"ouput\"; there are input, activities and schedule",
        ],
    );
    check_mistakes(
        "input.l.all(x, x > y) && x",
        &[
            "line 1 column 20: unknown variable \"y\"; there are input, activities and schedule",
            "line 1 column 26: unknown variable \"x\"; there are input, activities and schedule",
        ],
    );
    check_mistakes(
        "input.l.filter(x, x == z).map(z, z) == [w]",
        &[
            "line 1 column 24: unknown variable \"z\"; there are input, activities and schedule",
            "line 1 column 41: unknown variable \"w\"; there are input, activities and schedule",
        ],
    );
    check_mistakes(
        "input.a.startWith('x') && foo(1) && math.foo(1) == 1 && lists.range(3) == []",
        &[
            "line 1 column 9: unknown function \"startWith\" (did you mean \"startsWith\"?)",
            "line 1 column 27: unknown function \"foo\"",
            "line 1 column 37: unknown function \"math.foo\" (did you mean \"math.floor\"?)",
            "line 1 column 57: unknown variable \"lists\"; there are input, activities and schedule",
            "line 1 column 63: unknown function \"range\"",
        ],
    );
    check_mistakes(
        "Foo{a: 1} == 1",
        &["line 1 column 1: messages are not supported; an object is written {\"key\": value}"],
    );
    check_mistakes(
        "input.a.matches('(?!x)')",
        &[
            "line 1 column 9: (?!x): UnsupportedPattern: look-around and back-references cannot be matched in linear time",
        ],
    );
}

#[test]
fn activities_are_read_by_name() {
    check_mistakes(
        "activities.tenant-config.outputs.url == 'x'",
        &[
            "line 1 column 1: \"-\" subtracts; a name with a dash is written [\"tenant-config\"], as in activities[\"tenant-config\"]",
        ],
    );
    check_mistakes(
        "true && input.first-name-of == 'x'",
        &[
            "line 1 column 9: \"-\" subtracts; a name with a dash is written [\"first-name-of\"], as in input[\"first-name-of\"]",
        ],
    );
    let by_name = "activities are read by name: activities.<id>.state or activities.<id>.outputs";
    check_mistakes("activities.all(a, true)", &[&format!("line 1 column 1: {by_name}")]);
    check_mistakes("true && activities[input.x].state == ''", &[&format!("line 1 column 9: {by_name}")]);
    check_mistakes("has(activities.a)", &["line 1 column 5: of an activity, state or outputs can be read"]);
    check_mistakes(
        "activities.a.stat == ''",
        &["line 1 column 1: an activity has state and outputs, and no \"stat\" (did you mean \"state\"?)"],
    );
    check_mistakes(
        "activities.a.state.b == ''",
        &["line 1 column 1: the state of an activity is a string, and always there"],
    );
    check("input.count - 1 == 2", Ok(true));
    check("input.count - activities.build.outputs.count == 0", Ok(true));
}

#[test]
fn types_that_cannot_go_together_are_told() {
    let at = |message: &str| format!("line 1 column 1: {message}");
    let check = |source: &str, expected: &str| check_mistakes(source, &[&at(expected)]);
    check("'yes'", "must be a boolean, is a string");
    check("1 + 2", "must be a boolean, is an integer");
    check("size(input.l)", "must be a boolean, is an integer");
    check("input", "must be a boolean, is an object");
    check("input.l.map(x, x)", "must be a boolean, is a list");
    check_mistakes(
        "size(input.l) == '3'",
        &["line 1 column 1: \"==\" compares an integer with a string, which are never equal"],
    );
    check("1 == 'a'", "\"==\" compares an integer with a string, which are never equal");
    check("'a' < 1", "\"<\" cannot compare a string with an integer");
    check("1 + 'a' == 2", "\"+\" cannot be applied to an integer and a string");
    check("1 + 1.0 == 2.0", "\"+\" cannot be applied to an integer and a floating-point number");
    check("true && 1", "\"&&\" needs two booleans, one side is an integer");
    check_mistakes("!'a'", &["line 1 column 2: \"!\" needs a boolean, this is a string"]);
    check("1 ? true : false", "\"?\" needs a boolean before it, this is an integer");
    check("1 in 'abc'", "\"in\" needs a list or an object after it, this is a string");
    check("'abc'[0] == 'a'", "a string has no elements");
    check("'abc'.all(c, true)", "only lists and objects have elements, this is a string");
    check_mistakes("-'a' == 1", &["line 1 column 2: \"-\" needs a number, this is a string"]);
    check("'a'.b == 1", "a string has no members, so no \"b\"");
    check_mistakes(
        "true && size(input.l) == 'x'",
        &["line 1 column 9: \"==\" compares an integer with a string, which are never equal"],
    );
    check_mistakes("1 == 1.0 && null != input.x && 1 < 2.5 && 'a' + 'b' == 'ab' && -1 < 0", &[]);
    // The state of an activity is a text, whatever is declared.
    check("activities.a.state == 1", "\"==\" compares a string with an integer, which are never equal");
    check("activities['a'].state", "must be a boolean, is a string");
    check("activities.a.outputs", "must be a boolean, is an object");
}

/// What is told of an expression once it is known what it reads.
fn told(source: &str) -> Vec<String> {
    let schema = |schema: Value| Schema::compile_object(schema.as_object().unwrap()).unwrap();
    let input = schema(json!({"additionalProperties": false, "properties": {
        "text": {"type": "string"}, "count": {"type": "integer"}, "ratio": {"type": "number"}, "flag": {"type": "boolean"},
        "either": {"x-kubernetes-int-or-string": true}, "open": {}, "any": {"type": "object"},
        "region": {"enum": ["eu", "us"]}, "loose": {"type": "array", "items": {"type": "string", "nullable": true}},
        "names": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
        "hosts": {"type": "array", "items": {"type": "object", "additionalProperties": false, "properties": {
            "name": {"type": "string"}, "ports": {"type": "array", "items": {"type": "integer"}}}}},
    }}));
    let build = schema(json!({"properties": {"url": {"type": "string"}, "port": {"type": "integer"}}}));
    let outputs = |id: &str| (id == "build").then_some(&build);
    let declared = Declared { input: Some(&input), outputs: Some(&outputs) };
    let (_, mistakes) = Expression::compile_with(source, &declared).unwrap();
    mistakes.iter().map(|mistake| format!("{}: {mistake}", mistake.code)).collect()
}

#[test]
fn what_is_declared_is_held_against_an_expression() {
    let good = |source: &str| assert_eq!(told(source), [""; 0], "{source}");
    let wrong = |source: &str, expected: &str| assert_eq!(told(source), [expected], "{source}");
    wrong(
        "true && input.count == 'x'",
        "TypeMismatch: line 1 column 9: \"==\" compares an integer with a string, which are never equal",
    );
    wrong(
        "true &&\n  'x' != input[\"count\"]",
        "TypeMismatch: line 2 column 3: \"!=\" compares a string with an integer, which are never equal",
    );
    wrong(
        "input.text == activities.build.outputs.port",
        "TypeMismatch: line 1 column 1: \"==\" compares a string with an integer, which are never equal",
    );
    wrong("input.text > 1", "TypeMismatch: line 1 column 1: \">\" cannot compare a string with an integer");
    wrong(
        "input.region == 1",
        "TypeMismatch: line 1 column 1: \"==\" compares a string with an integer, which are never equal",
    );
    wrong("input.count", "TypeMismatch: line 1 column 1: must be a boolean, is an integer");
    wrong(
        "input.text && true",
        "TypeMismatch: line 1 column 1: \"&&\" needs two booleans, one side is a string",
    );
    wrong("!input.names", "TypeMismatch: line 1 column 2: \"!\" needs a boolean, this is a list");
    wrong(
        "input.text + 1 == 2",
        "TypeMismatch: line 1 column 1: \"+\" cannot be applied to a string and an integer",
    );
    wrong(
        "input.text in input.count",
        "TypeMismatch: line 1 column 1: \"in\" needs a list or an object after it, this is an integer",
    );
    wrong(
        "input.count.all(x, true)",
        "TypeMismatch: line 1 column 1: only lists and objects have elements, this is an integer",
    );
    wrong(
        "input.labels.all(k, k > 1)",
        "TypeMismatch: line 1 column 21: \">\" cannot compare a string with an integer",
    );
    wrong(
        "input.labels['a'] == 'x'",
        "TypeMismatch: line 1 column 1: \"==\" compares an integer with a string, which are never equal",
    );
    wrong(
        "input.names[0] == 3",
        "TypeMismatch: line 1 column 1: \"==\" compares a string with an integer, which are never equal",
    );
    wrong(
        "input.names.exists(n, n == 3)",
        "TypeMismatch: line 1 column 23: \"==\" compares a string with an integer, which are never equal",
    );
    wrong(
        "input.hosts.exists(h, h.ports.all(p, p == 'x'))",
        "TypeMismatch: line 1 column 38: \"==\" compares an integer with a string, which are never equal",
    );
    wrong(
        "input.hosts.exists(h, h.nam == 'x')",
        "UnknownReference: line 1 column 23: there is no \"nam\" (did you mean \"name\"?)",
    );
    wrong(
        "input.hosts.exists(h, has(h.zone))",
        "UnknownReference: line 1 column 27: there is no \"zone\" (has: name, ports)",
    );
    wrong(
        "input.hosts[input.count].zone == 1",
        "UnknownReference: line 1 column 1: there is no \"zone\" (has: name, ports)",
    );
    wrong(
        "input.hosts.exists(h, h.name.first == 1)",
        "UnknownReference: line 1 column 23: there is no \"first\"",
    );
    wrong(
        "activities.build.outputs.url == 1",
        "TypeMismatch: line 1 column 1: \"==\" compares a string with an integer, which are never equal",
    );
    // All at once, in the order of the text.
    assert_eq!(
        told("input.text == 1 || input.hosts.exists(h, h.zone == 1) || input.count == 'x'"),
        [
            "TypeMismatch: line 1 column 1: \"==\" compares a string with an integer, which are never equal",
            "UnknownReference: line 1 column 42: there is no \"zone\" (has: name, ports)",
            "TypeMismatch: line 1 column 58: \"==\" compares an integer with a string, which are never equal",
        ]
    );
    // What may be is let be.
    good("input.count == 1.0 && input.ratio == 1 && input.ratio + 1 > 2 && input.ratio / 2.0 > 1.0");
    good("input.either == 1 || input.either == 'x' || input.open == true || input.any.deep.er == 1");
    good("input.flag && input.open && input.region == 'eu' && input.text == null");
    good("input.loose[0] == null || input.loose.exists(x, x == 'a') || input.loose[0] == 'a'");
    good("input.hosts.all(h, h.name != '' && h.ports[0] > 1 && size(h.ports) < 3)");
    good("activities.other.outputs.anything == 1 && activities.build.outputs.unknown == 'x'");
    good("input.labels.all(k, input.labels[k] > 1) && 'a' in input.labels && input.labels[input.text] == 1");
    // Paths from a variable are told of by whoever asks what is read.
    good("input.nothing == 1 && has(input.hosts[0].zone)");
}

#[test]
fn a_wrong_part_is_told_where_it_begins() {
    let never = |place: &str, one: &str, other: &str| {
        format!("{place}: \"==\" compares {one} with {other}, which are never equal")
    };
    let check = |source: &str, expected: &str| check_mistakes(source, &[expected]);
    let column = |column: usize| never(&format!("line 1 column {column}"), "an integer", "a string");
    check("true && 1 == 'a'", &column(9));
    check("true && [1].exists_one(x, x == 1) && 1 == 'a'", &column(38));
    check("[1, 2].filter(x, true).size() > 0 && [3].all(x, 1 == 'a')", &column(49));
    check("true && 'äö' == 'b' && -1 == 'a'", &column(24));
    check("true && 2 - 1 == 'a'", &column(9));
    check("input.t == 'x' && size(input.t) == 'a'", &column(19));
    check("null == input.x && 0x1F == 'a'", &column(20));
    check("1.5e3 > 1.0 &&\n  b'x' == 'a'", &never("line 2 column 3", "bytes", "a string"));
    check("true && 'a' == 1", &never("line 1 column 9", "a string", "an integer"));
}

#[test]
fn what_the_parser_would_misread_is_refused() {
    let backquoted = |at: &str, name: &str| {
        format!("{at}: backquotes are not supported; a member with any name is read as [\"{name}\"] instead")
    };
    check_mistakes("has(input.`b-c`)", &[&backquoted("line 1 column 11", "b-c")]);
    check_mistakes("true &&\n  input.`i", &[&backquoted("line 2 column 9", "name")]);
    check_mistakes("input.a == '`' && input['`'] == \"`\" // `", &[]);
    check_mistakes("input.a == \"\\ud800\"", &["line 1 column 12: invalid escape in a string"]);
    check_mistakes("b'\\ud800' == b''", &["line 1 column 1: invalid escape in bytes"]);
}

#[test]
fn limits_are_told() {
    let long = format!("input.a == '{}'", "x".repeat(MAX_LENGTH));
    check_mistakes(&long, &["line 1 column 1: an expression has at most 4096 characters, this one has 4109"]);
    let brackets = |deep: usize| format!("{}true{}", "(".repeat(deep), ")".repeat(deep));
    check_mistakes(&brackets(12), &[]);
    check_mistakes(&brackets(13), &["line 1 column 13: brackets are nested at most 12 deep"]);
    let tokens = vec!["true"; 300].join(" && ");
    check_mistakes(
        &tokens,
        &[&format!(
            "line 1 column {}: an expression has at most 500 names, literals, operators and brackets",
            250 * 8 + 1
        )],
    );
    let sum = format!("{} == 1", vec!["1"; 100].join(" + "));
    check_mistakes(&sum, &["line 1 column 1: an expression is nested at most 24 deep"]);
    let macros = vec!["[1].exists_one(x, x)"; 45].join(" && ");
    check_mistakes(
        &macros,
        &["line 1 column 1: an expression has at most 500 nodes, macros spelled out; this one has 674"],
    );
    let nested = "input.l.all(a, input.l.all(b, input.l.all(c, input.l.all(d, true))))";
    check_mistakes(
        nested,
        &["line 1 column 1: at most 3 loops (all, exists, map, filter) may lie in each other, here are 4"],
    );
    check_mistakes("input.l.all(a, a.all(b, b.all(c, true)))", &[]);
    check_mistakes("input.l.map(a, a).map(b, b).map(c, c).map(d, d).size() == 0", &[]);
}

/// What evaluation says with a list of so many numbers.
fn cost(source: &str, count: usize) -> Result<bool, String> {
    let numbers: Vec<usize> = (0..count).collect();
    evaluated(source, &json!({"l": numbers, "t": "a".repeat(count), "one": [1]}))
}

#[test]
fn what_is_too_costly_is_refused_before_it_begins() {
    assert_eq!(cost("input.l.all(x, x >= 0)", 20_000), Ok(true));
    assert_eq!(
        cost("input.l.all(x, x >= 0)", 200_000),
        Err("too costly: up to 200000 elements, loops 1 deep and 12 nodes are 2400000 visits, at most 1000000 are allowed".to_owned())
    );
    assert_eq!(cost("input.l.all(x, input.l.all(y, x + y >= 0))", 150), Ok(true));
    let visits = "too costly: up to 1000 elements, loops 2 deep and 23 nodes are 23000000 visits, at most 1000000 are allowed";
    assert_eq!(cost("input.l.all(x, input.l.all(y, x + y >= 0))", 1_000), Err(visits.to_owned()));
    let refused = |source: &str, count: usize, steps: &str| {
        let why = format!("too costly: may take {steps} steps, at most 10000000 are allowed");
        assert_eq!(cost(source, count), Err(why), "{source}");
    };
    // Operators and functions on whole values are loops too.
    refused("input.l.all(x, x in input.l)", 10_000, "300220001");
    refused("input.l.all(x, input.l == input.l)", 10_000, "600220001");
    refused("input.t.replace('', input.t) == ''", 60_000, "900052522");
    refused(
        "input.t.replace('a', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa') == ''",
        60_000,
        "21956694",
    );
    refused("input.l.all(x, input.t.matches('x' + string(x)))", 100, "40011501");
    refused("input.t.findAll('.*[^A-Z]|[A-Z]').size() == 0", 60_000, "450496277");
    refused("input.t.split('').join(input.t) == ''", 10_000, "25263805");
    refused("input.l.distinct().size() == 0", 20_000, "400160019");
    refused("input.t.format([1.0]) == ''", 10_000, "54619818");
    let doubled = format!("input.one{}.size() == 1", ".map(a, [a, a, a, a, a, a])".repeat(12));
    refused(&doubled, 1, "24031677209");
    // And what is small is not.
    assert_eq!(cost("input.l.filter(x, x > 5).size() == 994", 1_000), Ok(true));
    // What adds up or collects goes over its elements once.
    assert_eq!(cost("input.l.sum() == 199990000", 20_000), Ok(true));
    assert_eq!(cost("input.l.sum() > 0", 200_000), Ok(true));
    assert_eq!(cost("input.l.filter(x, x > 5).size() == 19994", 20_000), Ok(true));
    assert_eq!(cost("input.l.map(x, x > 5, x + 1).map(x, x)[0] == 7", 20_000), Ok(true));
    // With all that it makes, though.
    assert!(cost("input.one.map(x, input.l.map(y, input.t)).size() == 1", 10_000).is_err());
    assert_eq!(cost("input.t.matches('^a+$')", 60_000), Ok(true));
    assert_eq!(cost("input.l.all(x, string(x).matches('^[0-9]+$'))", 5_000), Ok(true));
    assert_eq!(cost("input.l.map(x, x).map(x, x).filter(x, x > 5).size() == 994", 1_000), Ok(true));
    assert_eq!(cost("input.l.all(x, string(x).matches(input.t + '|.'))", 500), Ok(true));
    assert_eq!(cost("input.one.all(x, x in input.l)", 10_000), Ok(true));
    assert_eq!(cost("[1, 2, 3].all(x, [1, 2].all(y, [1].all(z, x + y + z > 0)))", 20), Ok(true));
}

#[test]
fn only_what_is_read_counts() {
    let many: Vec<usize> = (0..100_000).collect();
    let input = json!({"large": many, "l": [1, 2], "t": "x", "o": {"l": [[1, 2], [3]]}});
    let check = |source: &str, expected: Result<bool, &str>| {
        assert_eq!(evaluated(source, &input), expected.map_err(str::to_owned), "{source}");
    };
    check("input.l.all(x, x > 0) && input.l.exists(x, x == 2)", Ok(true));
    check("input.o.l.all(x, x.all(y, y > 0)) && has(input.large)", Ok(true));
    check("input.l.all(x, input.l.all(y, x + y > 0)) && activities.build.outputs.tags.size() == 2", Ok(true));
    let costly = "too costly: up to 100000 elements, loops 1 deep and 15 nodes are 1500000 visits, at most 1000000 are allowed";
    check("input.l.all(x, input.large[x] >= 0)", Err(costly));
}

#[test]
fn only_the_activities_that_are_read_count() {
    let expression = Expression::compile("activities.a.state == 'Succeeded'").unwrap();
    let large = json!({"l": (0..100_000).collect::<Vec<_>>()});
    let input = Object::new();
    let large = large.as_object().unwrap();
    let scope = Scope::new(&input).with_activity("a", "Succeeded", large).with_activity("b", "Failed", large);
    assert_eq!(expression.evaluate(&scope), Ok(true));
}

fn read(source: &str) -> Vec<String> {
    let expression = Expression::compile(source).unwrap();
    let segments = |path: &[Segment]| {
        path.iter()
            .map(|segment| match segment {
                Segment::Key(key) => format!("/{key}"),
                Segment::Index(index) => format!("/{index}"),
            })
            .collect::<String>()
    };
    let shown = |reference: &Reference| match reference {
        Reference::Input { path, is_presence, position } => {
            format!(
                "{}:{} input{}{}",
                position.line,
                position.column,
                segments(path),
                if *is_presence { "?" } else { "" }
            )
        }
        Reference::ScheduleTime { is_presence, position } => {
            format!(
                "{}:{} schedule.time{}",
                position.line,
                position.column,
                if *is_presence { "?" } else { "" }
            )
        }
        Reference::RunState { position } => format!("{}:{} run.state", position.line, position.column),
        Reference::Activity { id, outputs, is_presence, position } => format!(
            "{}:{} {id}{}{}",
            position.line,
            position.column,
            outputs.as_ref().map_or(".state".to_owned(), |path| format!(".outputs{}", segments(path))),
            if *is_presence { "?" } else { "" }
        ),
    };
    expression.references().iter().map(shown).collect()
}

#[test]
fn what_is_read_is_told_as_far_as_the_text_shows_it() {
    assert_eq!(
        read("input.a.b[0][\"c.d\"] == activities.build.outputs.url && activities[\"t-c\"].state == 'x'"),
        ["1:1 input/a/b/0/c.d", "1:24 build.outputs/url", "1:56 t-c.state"]
    );
    assert_eq!(
        read("has(input.a.b) ||\n input.l[input.n].x == 1"),
        ["1:5 input/a/b?", "2:2 input/l", "2:10 input/n"]
    );
    assert_eq!(
        read("has(activities.a.outputs.x) || has(activities.a.outputs)"),
        ["1:5 a.outputs/x?", "1:36 a.outputs?"]
    );
    assert_eq!(
        read("input.l.filter(x, x == input.y).exists(input, input.z == 1)"),
        ["1:1 input/l", "1:24 input/y"]
    );
    assert_eq!(
        read("size(input) > 0 && input.t.startsWith(input.p)"),
        ["1:6 input", "1:20 input/t", "1:39 input/p"]
    );
}

#[test]
fn the_deepest_expression_fits_the_stack_of_a_small_thread() {
    let sums = format!("{} == 1", vec!["input.a"; MAX_DEPTH - 3].join(" + "));
    let calls = format!("{}input.a{} == 1", "dyn(".repeat(MAX_BRACKETS), ")".repeat(MAX_BRACKETS));
    let members = format!("input{} == 1", ".a".repeat(MAX_DEPTH - 3));
    let too_long = format!("{}1 == 1", "1 - ".repeat(MAX_TOKENS / 2 - 2));
    let run = move || {
        for source in [&sums, &calls, &members] {
            let expression = Expression::compile(source).unwrap();
            let mut deep = json!(1);
            for _ in 0..MAX_DEPTH {
                deep = json!({"a": deep});
            }
            let _ = expression.evaluate(&Scope::new(deep.as_object().unwrap()));
        }
        assert!(Expression::compile(&too_long).is_err());
    };
    std::thread::Builder::new().stack_size(3 << 19).spawn(run).unwrap().join().unwrap();
}

#[test]
fn every_function_of_the_list_is_there() {
    for name in functions::names() {
        let call = match name.split_once('.') {
            Some((library, function)) => format!("{library}.{function}()"),
            None => format!("{name}()"),
        };
        let program = scan::parse(&call).unwrap();
        let error =
            functions::CONTEXT.resolve(&program).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(!error.contains("Undeclared"), "{name}: {error}");
    }
}

/// Pieces of expressions, put together at random.
fn any_source() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "(input|activities|x|true|null|1|2.5|-3|'a'|\"b\"|b'c'|[0-9]u|input\\.a|input\\.l|activities\\.a\\.outputs\\.o)",
        "\\PC{0,6}",
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let function = prop::sample::select(functions::names().collect::<Vec<_>>());
        prop_oneof![
            (inner.clone(), "(\\+|-|\\*|/|%|==|!=|<|>=|&&|\\|\\|| in )", inner.clone())
                .prop_map(|(one, operator, other)| format!("{one}{operator}{other}")),
            (inner.clone(), "(all|exists|exists_one|map|filter)", inner.clone())
                .prop_map(|(range, name, body)| format!("{range}.{name}(x, {body})")),
            (function.clone(), inner.clone()).prop_map(|(name, argument)| format!("{name}({argument})")),
            (inner.clone(), function, inner.clone())
                .prop_map(|(target, name, argument)| format!("{target}.{name}({argument})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            inner.clone().prop_map(|a| format!("has(({a}).a)")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_makes_an_expression_panic(source in any_source()) {
        match Expression::compile(&source) {
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty());
                prop_assert!(mistakes.iter().all(|mistake| mistake.line > 0 && mistake.column > 0));
            }
            Ok(expression) => {
                let input = json!({"a": 1, "l": [1, 2, "x", null, {"a": 2}]});
                let input = input.as_object().unwrap();
                let scope = Scope::new(input).with_activity("a", "Succeeded", input);
                let result = expression.evaluate(&scope);
                prop_assert_eq!(expression.evaluate(&scope), result);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(source in "\\PC{0,60}") {
        let _ = Expression::compile(&source);
    }
}

#[test]
fn a_function_is_not_applied_to_what_it_is_not_for() {
    let schema = json!({"type": "object", "properties": {
        "n": {"type": "integer"}, "x": {"type": "number"}, "t": {"type": "string"}, "l": {"type": "array"},
        "o": {"type": "object"}, "any": {},
    }});
    let schema = Schema::compile(schema.as_object().unwrap()).unwrap();
    let declared = Declared { input: Some(&schema), outputs: None };
    let told = |source: &str| {
        let (_, mistakes) =
            Expression::compile_with(source, &declared).unwrap_or_else(|told| panic!("{told:?}"));
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (source, expected) in [
        ("input.n.startsWith('a')", "\"startsWith\" is not for an integer"),
        ("input.t.startsWith(input.n)", "\"startsWith\" takes no argument that is an integer"),
        ("size(input.n) == 1", "\"size\" is not for an integer"),
        ("input.x.size() == 1", "\"size\" is not for a number"),
        ("matches(input.n, 'a')", "\"matches\" is not for an integer"),
        ("input.t.getHours() == 12", "\"getHours\" is not for a string; write timestamp(…) around it"),
        (
            "input.t.getFullYear('UTC') == 1",
            "\"getFullYear\" is not for a string; write timestamp(…) around it",
        ),
        ("input.o.sum() == 1", "\"sum\" is not for an object"),
        ("math.abs(input.t) == 1", "\"math.abs\" is not for a string"),
    ] {
        let all = told(source);
        assert!(all.len() == 1 && all[0].ends_with(expected), "{source}: {all:?}");
    }
    for source in [
        "input.any.startsWith('a')",
        "input.t.startsWith(input.any)",
        "size(input.t) + size(input.l) + size(input.o) + size(input.any) > 0",
        "timestamp(input.t).getHours() == 12",
        "duration(input.t).getMinutes() == 1",
        "input.l.map(i, i.n).sum() > 0 && input.l.filter(i, i > 1).size() > 0",
        "math.abs(input.n) == 1 && math.ceil(input.x) == 1.0",
        "[1, 2].sum() == 3 && 'a b'.split(' ').join('-') == 'a-b'",
        "'%d'.format([input.n]) == '1'",
    ] {
        assert_eq!(told(source), [""; 0], "{source}");
    }
}
