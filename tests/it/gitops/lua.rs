//! Lua as Argo CD runs it: version 5.1 with base, table, package, and time and date of os; JSON in and JSON out.
//!
//! Responsible for: that a script which needs more fails here too. Must never: be kinder than Argo CD.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use mlua::serde::SerializeOptions;
use mlua::{HookTriggers, Lua, LuaOptions, LuaSerdeExt, StdLib, Value as Lua5, VmState};
use serde_json::{Map, Value};

/// How often the instructions are counted.
const STEP: u32 = 10;

/// The time that it is in every script.
pub fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// About how many instructions a script takes on an object.
pub fn instructions(script: &str, object: &Value) -> u64 {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let result = run_with(script, object, move |lua| {
        let triggers = HookTriggers::new().every_nth_instruction(STEP);
        lua.set_hook(triggers, move |_, _| {
            counted.fetch_add(u64::from(STEP), Ordering::Relaxed);
            Ok(VmState::Continue)
        })
        .unwrap();
    });
    result.unwrap();
    count.load(Ordering::Relaxed)
}

/// What a script returns for an object.
pub fn result(script: &str, object: &Value) -> Result<Value, String> {
    run_with(script, object, |_| {})
}

fn run_with(script: &str, object: &Value, prepare: impl FnOnce(&Lua)) -> Result<Value, String> {
    let lua = sandbox();
    lua.globals().set("obj", given(&lua, object)).unwrap();
    prepare(&lua);
    let returned: Lua5 = lua.load(script).eval().map_err(|error| error.to_string())?;
    json(&returned)
}

/// An object as Argo CD hands it in: tables without marks, so that an empty list is an empty object; null is nothing.
pub fn given(lua: &Lua, object: &Value) -> Lua5 {
    let options = SerializeOptions::new()
        .set_array_metatable(false)
        .serialize_none_to_null(false)
        .serialize_unit_to_null(false);
    lua.to_value_with(object, options).unwrap()
}

/// The libraries that there are, and nothing else.
pub fn sandbox() -> Lua {
    let lua = Lua::new_with(StdLib::TABLE | StdLib::PACKAGE, LuaOptions::default()).unwrap();
    let globals = lua.globals();
    for absent in ["string", "coroutine", "io", "os", "math", "debug"] {
        globals.set(absent, mlua::Nil).unwrap();
    }
    let loader = lua.create_function(|lua, ()| {
        let os = lua.create_table()?;
        os.set("time", lua.create_function(|_, ()| Ok(now().as_second()))?)?;
        os.set("date", lua.create_function(date)?)?;
        Ok(os)
    });
    let package: mlua::Table = globals.get("package").unwrap();
    let preload: mlua::Table = package.get("preload").unwrap();
    preload.set("os", loader.unwrap()).unwrap();
    lua
}

/// Without `!`, and with a second argument, Argo CD's is in local time: a script that says the same everywhere does
/// neither.
fn date(_: &Lua, arguments: mlua::Variadic<Lua5>) -> mlua::Result<String> {
    let format = match arguments.as_slice() {
        [Lua5::String(format)] => format.to_str()?.to_owned(),
        _ => return Err(mlua::Error::runtime("os.date takes one format here")),
    };
    match format.strip_prefix('!') {
        Some(format) => Ok(now().strftime(format).to_string()),
        None => Err(mlua::Error::runtime("os.date without ! is local time")),
    }
}

/// What a script returned as Argo CD encodes it: an empty table is a list, and a list has no holes.
fn json(value: &Lua5) -> Result<Value, String> {
    let number = |number: f64| match number.fract() == 0.0 && number.abs() < 9.1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
        true => Value::from(number as i64),
        false => Value::from(number),
    };
    match value {
        Lua5::Nil => Ok(Value::Null),
        Lua5::Boolean(flag) => Ok(Value::Bool(*flag)),
        Lua5::Integer(integer) => Ok(Value::from(*integer)),
        Lua5::Number(float) => Ok(number(*float)),
        Lua5::String(text) => Ok(Value::String(text.to_str().map_err(|error| error.to_string())?.to_owned())),
        Lua5::Table(table) => {
            let (mut list, mut map) = (Vec::new(), Map::new());
            for pair in table.pairs::<Lua5, Lua5>() {
                let (key, value) = pair.map_err(|error| error.to_string())?;
                match key {
                    Lua5::String(key) => {
                        let key = key.to_str().map_err(|error| error.to_string())?.to_owned();
                        map.insert(key, json(&value)?);
                    }
                    Lua5::Integer(at) => list.push((at, json(&value)?)),
                    #[expect(clippy::cast_possible_truncation, reason = "an index")]
                    Lua5::Number(at) => list.push((at as i64, json(&value)?)),
                    other => return Err(format!("a key is a {}", other.type_name())),
                }
            }
            list.sort_by_key(|(at, _)| *at);
            if !list.is_empty() && !map.is_empty() {
                return Err("a table is a list and a map".to_owned());
            }
            if list.iter().zip(1..).any(|((at, _), expected)| *at != expected) {
                return Err("a list has holes".to_owned());
            }
            Ok(match map.is_empty() {
                true => Value::Array(list.into_iter().map(|(_, value)| value).collect()),
                false => Value::Object(map),
            })
        }
        other => Err(format!("a {} cannot be returned", other.type_name())),
    }
}

#[test]
fn a_script_has_what_argo_cd_gives_it_and_no_more() {
    let object =
        serde_json::json!({"a": {"empty": {}, "list": [], "null": null, "numbers": [1, 2.5]}, "b": "text"});
    let run = |script: &str| result(script, &object);
    assert_eq!(
        run("return obj").unwrap()["a"],
        serde_json::json!({"empty": [], "list": [], "numbers": [1, 2.5]})
    );
    for script in [
        "return string.len('a')",
        "return obj.b:upper()",
        "return os.time()",
        "return math.max(1)",
        "return io.read()",
    ] {
        assert!(run(script).is_err(), "{script}");
    }
    for script in
        ["return require('os').exit()", "return require('os').date('%Y')", "return require('string')"]
    {
        assert!(run(script).is_err(), "{script}");
    }
    assert_eq!(run("return {require('os').date('!%Y%m%dT%H%M%SZ')}").unwrap()[0], "20260301T120000Z");
    assert_eq!(run("return {table.concat({'a', 'b'}), #obj.b}").unwrap(), serde_json::json!(["ab", 4]));
    assert!(run("return {[1] = 1, [3] = 3}").is_err());
}
