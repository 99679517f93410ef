#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::pg::session::{ActingAs, Settings};

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn setting(name: &str) -> Result<Option<String>, pgrx::spi::Error> {
        Spi::get_one_with_args("select current_setting($1)", &[name.into()])
    }

    #[pg_test]
    fn settings_end_with_their_scope_the_inner_before_the_outer() -> TestResult {
        Spi::run("set local search_path = public, pg_catalog")?;
        {
            let _outer = Settings::set(&[(c"search_path", c"pg_catalog"), (c"work_mem", c"5MB")]);
            {
                let _inner = Settings::safe_search_path();
                assert_eq!(setting("search_path")?.as_deref(), Some("pg_catalog, pg_temp"));
            }
            assert_eq!(setting("search_path")?.as_deref(), Some("pg_catalog"));
            assert_eq!(setting("work_mem")?.as_deref(), Some("5MB"));
        }
        assert_eq!(setting("search_path")?.as_deref(), Some("public, pg_catalog"));
        assert_ne!(setting("work_mem")?.as_deref(), Some("5MB"));
        Ok(())
    }

    #[pg_test]
    fn settings_and_role_are_restored_when_an_error_ends_the_scope() -> TestResult {
        let before = (setting("search_path")?, Spi::get_one::<String>("select current_user::text")?);
        Spi::run("create role stranger; create table public.operations (id int)")?;
        // The procedure takes on settings, and then fails, as the table is not partitioned.
        Spi::run(
            "do $$ begin call operations_maintain_partitions(); raise 'it must fail';
             exception when wrong_object_type then null; end $$",
        )?;
        assert_eq!((setting("search_path")?, Spi::get_one::<String>("select current_user::text")?), before);
        Ok(())
    }

    #[pg_test]
    fn another_role_is_acted_as_only_in_its_scope_and_cannot_be_left() -> TestResult {
        Spi::run("create role stranger")?;
        let stranger = Spi::get_one::<pg_sys::Oid>("select 'stranger'::regrole::oid")?.ok_or("no role")?;
        let before = Spi::get_one::<String>("select current_user::text")?;
        {
            let _role = ActingAs::role(stranger);
            assert_eq!(Spi::get_one::<String>("select current_user::text")?.as_deref(), Some("stranger"));
            let refused = PgTryBuilder::new(|| Spi::run("reset role").is_err())
                .catch_when(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, |_| true)
                .execute();
            assert!(refused);
        }
        assert_eq!(Spi::get_one::<String>("select current_user::text")?, before);
        Ok(())
    }
}
