//! Ten thousand schedules: what they cost while nothing is due, and when something is.

use serde_json::json;

use super::*;
use crate::support::objects::schedule;
use crate::support::reconciles::{reconciles_here, start_counting};

const MANY: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn ten_thousand_schedules_wake_once_each_and_write_nothing_between_their_ticks() {
    start_counting();
    let mut sandbox = sandbox().await;
    sandbox.stop_operator();
    // One tick a day, each at a time of its own: a minute has seven.
    let expression = |number: usize| format!("{} {} * * *", number % 60, 1 + number / 60 % 23);
    for number in 0..MANY {
        let name = format!("s{number}");
        sandbox
            .apply([schedule(&name, &expression(number), "quick", json!({"successfulHistoryLimit": 1}))])
            .await;
    }
    let count = || reconciles_here("OrchestrationSchedule");
    let (before, began) = (count(), std::time::Instant::now());
    sandbox.start_operator();
    sandbox.pass(Duration::from_secs(20)).await;
    println!("{MANY} schedules: started in {:.1?}", began.elapsed());
    assert_eq!(
        sandbox.count("patch orchestrationschedules/status") + sandbox.count("patch orchestrationschedules"),
        MANY,
        "one status each"
    );
    let started = count() - before;
    assert!(started <= 2 * MANY, "{started} looks at the start");

    // Nothing is due in the first hour.
    let (looks, writes) = (count(), sandbox.writes.lock().unwrap().len());
    sandbox.pass(50 * MINUTE).await;
    assert_eq!(count(), looks, "nobody looks between ticks");
    assert_eq!(sandbox.writes.lock().unwrap().len(), writes, "nobody writes between ticks");

    let began = std::time::Instant::now();
    sandbox.pass(2 * HOUR + 9 * MINUTE).await;
    let due = (0..MANY).filter(|number| number / 60 % 23 < 2).count();
    println!("{due} ticks in {:.1?}, {} looks", began.elapsed(), count() - looks);
    assert_eq!(sandbox.count("create orchestrations"), due);
    // The tick, its run, and the end of that.
    assert!(count() - looks <= 3 * due, "{} looks", count() - looks);
}
