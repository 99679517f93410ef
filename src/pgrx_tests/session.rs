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
        let now = || {
            Ok::<_, pgrx::spi::Error>((setting("search_path")?, Spi::get_one::<String>("select current_user::text")?))
        };
        let before = now()?;
        // The procedure fails in the middle of what it does with the rights of the table's owner; the error says how it was there.
        Spi::run(
            "create role stranger; call operations_setup(); grant all on schema public to stranger;
             alter table operations owner to stranger;
             create function public.fail() returns event_trigger language plpgsql as $$ begin
                 raise '% %', current_user, current_setting('search_path'); end $$;
             create event trigger fail on ddl_command_end execute function public.fail();
             do $$ begin call operations_maintain_partitions(9);
             exception when raise_exception then perform set_config('test.inside', sqlerrm, true); end $$;
             drop event trigger fail",
        )?;
        assert_eq!(setting("test.inside")?.as_deref(), Some("stranger pg_catalog, pg_temp"));
        assert_eq!(now()?, before);
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
