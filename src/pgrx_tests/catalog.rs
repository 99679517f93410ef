#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::pg::catalog;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn oid(name: &str) -> Result<pg_sys::Oid, Box<dyn std::error::Error>> {
        Ok(Spi::get_one_with_args("select $1::regclass::oid", &[name.into()])?.ok_or("no such relation")?)
    }

    #[pg_test]
    fn a_partition_of_a_partition_has_the_root_of_both() -> TestResult {
        Spi::run(
            "create table public.t (d date, n int) partition by range (d);
             create table public.t_2025 partition of t for values from ('2025-01-01') to ('2026-01-01')
                 partition by list (n);
             create table public.t_2025_1 partition of t_2025 for values in (1);
             create table public.alone (d date)",
        )?;
        assert_eq!(catalog::partition_root(oid("t_2025")?), Some(oid("t")?));
        assert_eq!(catalog::partition_root(oid("t_2025_1")?), Some(oid("t")?));
        assert_eq!(catalog::partition_root(oid("t")?), None);
        assert_eq!(catalog::partition_root(oid("alone")?), None);
        assert_eq!(catalog::partition_root(pg_sys::InvalidOid), None);
        Ok(())
    }

    #[pg_test]
    fn a_file_is_new_in_the_transaction_that_made_it() -> TestResult {
        Spi::run("create table public.t (n int)")?;
        assert!(catalog::has_new_file(oid("t")?));
        assert!(!catalog::has_new_file(oid("operations_job")?));
        Spi::run("truncate operations_job")?;
        assert!(catalog::has_new_file(oid("operations_job")?));
        assert!(catalog::has_new_file(pg_sys::InvalidOid));
        Ok(())
    }

    #[pg_test]
    fn columns_are_found_by_name() -> TestResult {
        Spi::run("create table public.t (gone int, amount numeric); alter table t drop column gone")?;
        let amount = catalog::column(oid("t")?, c"amount").ok_or("no such column")?;
        assert_eq!((amount.number, amount.of_type), (2, pg_sys::NUMERICOID));
        assert!(catalog::column(oid("t")?, c"gone").is_none());
        assert!(catalog::column(oid("t")?, c"ctid").is_none());
        Ok(())
    }
}
