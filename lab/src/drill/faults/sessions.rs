//! Sessions that stand in the way of others, and jobs that fail.

use postgres::Client;

use crate::connect::Refusal;
use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, type_next_command};
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::text;

/// As many as make the doctor speak of it; each subtransaction that writes takes an xid.
const BURN: &str = "\
    DO $$ BEGIN \
        CREATE TEMP TABLE burnt (n int); \
        FOR i IN 1..110000 LOOP \
            BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; \
        END LOOP; \
    END $$";

/// A session of the primary that keeps something.
pub struct HoldingSession {
    what: &'static str,
    statements: &'static [&'static str],
    then: Option<&'static str>,
    holder: Option<Client>,
}

impl HoldingSession {
    /// A transaction that keeps VACUUM from its work.
    pub fn of_a_snapshot() -> Box<dyn Fault> {
        Box::new(Self {
            what: "a transaction on the primary kept its snapshot while 110,000 others ended",
            statements: &["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class"],
            then: Some(BURN),
            holder: None,
        })
    }

    /// A transaction that locks out the readers of the view.
    pub fn of_a_lock() -> Box<dyn Fault> {
        Box::new(Self {
            what: "a session of the primary typed `begin; refresh materialized view client_type_sum_mv;` and no `commit`",
            statements: &[PATIENTLY, "BEGIN", "REFRESH MATERIALIZED VIEW public.client_type_sum_mv"],
            then: None,
            holder: None,
        })
    }
}

impl Fault for HoldingSession {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let mut holder = scene.session(Role::Primary)?;
        text(&mut holder, "SET application_name = 'drill'")?;
        self.statements.iter().try_for_each(|statement| text(&mut holder, statement).map(drop))?;
        self.holder = Some(holder);
        if let Some(statement) = self.then {
            scene.run(Role::Primary, &[statement])?;
        }
        Ok(self.what.to_owned())
    }

    fn heal(&mut self, scene: &Scene, seen: &Finding) -> Result<Healed, Error> {
        type_next_command(scene, seen)
    }
}

/// Takes every connection that the primary has.
#[derive(Default)]
pub struct AllConnections {
    sessions: Vec<Client>,
}

impl AllConnections {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }
}

impl Fault for AllConnections {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let target = scene.demo.target(Role::Primary);
        let limit = std::time::Duration::from_secs(5);
        loop {
            scene.go_on()?;
            match crate::connect::session(&target, limit, limit) {
                Ok(session) => self.sessions.push(session),
                Err(Refusal::Full(_)) => break,
                Err(refusal) => return Err(Error::Environment(refusal.to_string())),
            }
        }
        Ok(format!("{} idle sessions took the last connection of the primary", self.sessions.len()))
    }

    fn heal(&mut self, _scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        self.sessions.clear();
        Ok(Healed::Typed("(the sessions were closed)".to_owned()))
    }
}

/// Makes each run of change_status fail.
#[derive(Default)]
pub struct FailingJob;

impl FailingJob {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self)
    }
}

const ALLOW: &str = "ALTER TABLE public.operations DROP CONSTRAINT IF EXISTS drill";

/// Where there is nothing to drop ALLOW waits for its lock, too.
const IS_FORBIDDEN: &str = "\
    EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = 'public.operations'::pg_catalog.regclass AND conname = 'drill')";

/// The jobs hold locks on the table, for as long as their runs take.
const PATIENTLY: &str = "SET lock_timeout = '15s'";

impl Fault for FailingJob {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let forbid = "ALTER TABLE public.operations ADD CONSTRAINT drill CHECK (status = 0) NOT VALID";
        let allow = format!("DO $$ BEGIN IF {IS_FORBIDDEN} THEN {ALLOW}; END IF; END $$");
        scene.run_and_undo(Role::Primary, &[PATIENTLY, forbid], &[PATIENTLY, &allow])?;
        Ok("a CHECK constraint on operations made each run of change_status fail".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        scene.run(Role::Primary, &[PATIENTLY, ALLOW])?;
        Ok(Healed::Typed(ALLOW.to_lowercase() + ";"))
    }
}
