//! Keeps two sessions to a server: one that beats every second and asks what is quick, one for what is dear. A server that is down,
//! slow or hangs is known as such within 3 seconds, and nobody waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::known::{NO_ANSWER, now};
use super::loads::Loads;
use super::runs::Runs;
use super::session::{Session, knock};
use super::store::Store;
use super::{draw, loads, runs};
use crate::connect::Refusal;
use crate::metrics::{COLLECTORS, Collector, Pace, Where};
use crate::role::Role;
use crate::target::Target;

/// How often it is asked whether it is there.
const BEAT: Duration = Duration::from_secs(1);

/// How long an answer may take. With the beat it makes less than 3 seconds.
const ANSWER: Duration = Duration::from_millis(1500);

/// The server itself ends a statement before, so that one which is slow is told from a server that hangs.
const STATEMENT: Duration = Duration::from_millis(1000);

/// How long a dear question may take.
const DEAR: Duration = Duration::from_secs(5);

/// How long it is waited before a session is tried again that was refused: a server logs that.
const REFUSED: Duration = Duration::from_secs(10);

/// Watches a server for ever.
pub async fn watch(store: Arc<Store>, index: usize, target: Target) {
    join(beat(&store, index, &target), dear(&store, index, &target)).await;
}

async fn beat(store: &Store, index: usize, target: &Target) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut session, mut beats) = (None, 0_u64);
    let (mut runs, mut loads) = (Runs::default(), Loads::default());
    loop {
        ticks.tick().await;
        let seen = match look(target, &mut session).await {
            Ok(role) => {
                store.seen(index, Ok(role));
                beats += 1;
                match session.as_mut().filter(|_| beats % 2 == 1) {
                    Some(session) => ask(store, index, role, session, (&mut runs, &mut loads)).await,
                    None => Ok(()),
                }
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = seen {
            session = None;
            beats = 0;
            loads.forget(store);
            let is_told = matches!(refusal, Refusal::Password(_) | Refusal::Hba(_) | Refusal::Other(_));
            store.seen(index, Err(refusal));
            if is_told {
                sleep(REFUSED).await;
            }
        }
    }
}

/// Both the door and the session must answer.
async fn look(target: &Target, session: &mut Option<Session>) -> Result<Role, Refusal> {
    if session.as_ref().is_none_or(|session| session.lost().is_some()) {
        *session = None;
        *session = Some(Session::begin(target, ANSWER, STATEMENT).await?);
    }
    let Some(session) = session.as_mut() else {
        return Err(Refusal::Other("there is no session".to_owned()));
    };
    let (knocked, beat) = join(knock(target, ANSWER), session.beat(ANSWER)).await;
    knocked?;
    Ok(if beat? { Role::Replica } else { Role::Primary })
}

/// Asks all that is quick. An error: the session is lost, and with it the server.
async fn ask(
    store: &Store,
    index: usize,
    role: Role,
    session: &mut Session,
    (runs, loads): (&mut Runs, &mut Loads),
) -> Result<(), Refusal> {
    let name = name_of(store, index);
    for collector in COLLECTORS.iter().filter(|collector| collector.pace == Pace::Quick) {
        if collector.of == Where::Writer && role == Role::Replica {
            store.not_collected(index, collector);
        } else {
            collect(store, index, &name, session, collector, ANSWER).await?;
        }
    }
    if draw::writer(&store.lock()) != Some(index) || !session.has_extension() {
        loads.forget(store);
        return Ok(());
    }
    runs::follow(store, index, session, runs, ANSWER).await;
    loads::follow(store, index, session, loads, ANSWER).await;
    session.lost().map_or(Ok(()), Err)
}

/// Asks, and notes what came of it. An error only if the session is lost.
async fn collect(
    store: &Store,
    index: usize,
    name: &str,
    session: &mut Session,
    collector: &'static Collector,
    limit: Duration,
) -> Result<(), Refusal> {
    let began = Instant::now();
    let result = session.collect(collector, name, limit).await;
    store.collected(index, collector, began.elapsed(), result.map_err(|refusal| refusal.to_string()));
    session.lost().map_or(Ok(()), Err)
}

/// What is dear is asked by a session of its own, so that no beat waits for it.
async fn dear(store: &Store, index: usize, target: &Target) {
    let mut session = None;
    loop {
        sleep(BEAT).await;
        let (name, role) = {
            let inner = store.lock();
            let known = &inner.servers[index];
            (known.name.clone(), known.role.filter(|_| known.up == Some(true)))
        };
        let Some(role) = role else {
            session = None;
            continue;
        };
        for collector in COLLECTORS {
            let Pace::After(pause) = collector.pace else { continue };
            if collector.of == Where::Writer && role == Role::Replica {
                store.not_collected(index, collector);
                continue;
            }
            if !is_due(store, index, collector, pause) {
                continue;
            }
            let mut asked = match session.take() {
                Some(asked) => asked,
                None => match Session::begin(target, ANSWER, DEAR).await {
                    Ok(begun) => begun,
                    Err(refusal) => {
                        store.collected(index, collector, Duration::ZERO, Err(refusal.to_string()));
                        continue;
                    }
                },
            };
            if collect(store, index, &name, &mut asked, collector, DEAR + ANSWER).await.is_err() {
                continue;
            }
            session = Some(asked);
            if collector.name == "months" {
                tell_months(store);
            }
        }
    }
}

fn is_due(store: &Store, index: usize, collector: &Collector, pause: Duration) -> bool {
    let inner = store.lock();
    inner.servers[index].collected.get(collector.name).is_none_or(|collected| {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(draw::pause_of(collected));
        // What was cleared when the server went is asked at once when it is back.
        let was_cleared = collected.error.as_deref() == Some(NO_ANSWER);
        was_cleared || now().saturating_sub(collected.at) >= pause
    })
}

fn tell_months(store: &Store) {
    let told = {
        let mut inner = store.lock();
        let months = draw::months(&inner);
        let is_new = months.as_ref().is_some_and(|months| *months != inner.months);
        if let Some(months) = months.filter(|_| is_new) {
            inner.months = months;
        }
        is_new.then(|| inner.months.clone())
    };
    if let Some(months) = told {
        store.tell("months", &months);
    }
}

fn name_of(store: &Store, index: usize) -> String {
    store.lock().servers[index].name.clone()
}
