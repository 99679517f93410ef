#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::pg::catalog::{self, RelationOid};
    use crate::pg::partition_bounds::{Bound, Partitions};

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn table(name: &std::ffi::CStr) -> Result<RelationOid, Box<dyn std::error::Error>> {
        let schema = Spi::get_one::<pg_sys::Oid>("select 'public'::regnamespace::oid")?.ok_or("no schema public")?;
        catalog::relation(schema, name).ok_or_else(|| "no such table".into())
    }

    #[pg_test]
    fn bounds_gaps_and_the_default_partition_are_seen() -> TestResult {
        Spi::run(
            "create table public.t (d date) partition by range (d);
             create table public.t_old partition of t for values from (minvalue) to ('2000-01-11');
             create table public.t_mid partition of t for values from ('2000-01-21') to ('2000-01-31');
             create table public.t_new partition of t for values from ('2000-02-10') to (maxvalue)",
        )?;
        let partitions = Partitions::of(table(c"t")?).ok_or("not partitioned by date")?;
        let bounds: Vec<(Bound, Bound)> = partitions.ranges.iter().map(|range| (range.from, range.to)).collect();
        assert_eq!(
            bounds,
            [(Bound::Min, Bound::Day(10)), (Bound::Day(20), Bound::Day(30)), (Bound::Day(40), Bound::Max)]
        );
        let name = |day| partitions.overlapping(day, day + 1).map(|partition| catalog::relation_name(partition.oid));
        let days = [
            (i32::MIN, "t_old"),
            (9, "t_old"),
            (10, ""),
            (19, ""),
            (20, "t_mid"),
            (29, "t_mid"),
            (30, ""),
            (40, "t_new"),
        ];
        for (day, expected) in days {
            assert_eq!(name(day).unwrap_or_default(), expected, "day {day}");
            assert_eq!(Partitions::has_place_for(table(c"t")?, day), Some(!expected.is_empty()), "day {day}");
        }
        assert!(partitions.overlapping(10, 20).is_none());
        assert!(partitions.overlapping(29, 32).is_some());

        Spi::run("create table public.t_rest partition of t default")?;
        let partitions = Partitions::of(table(c"t")?).ok_or("not partitioned by date")?;
        assert_eq!(partitions.ranges.len(), 3);
        assert_eq!(Partitions::has_place_for(table(c"t")?, 30), Some(true));
        Ok(())
    }

    #[pg_test]
    fn other_layouts_are_told_apart() -> TestResult {
        Spi::run(
            "create table public.plain (d date);
             create table public.by_list (d date) partition by list (d);
             create table public.by_text (d text) partition by range (d);
             create table public.by_two (d date, e date) partition by range (d, e);
             create table public.by_expression (d date) partition by range ((d + 1));
             create table public.empty (d date) partition by range (d)",
        )?;
        for name in [c"plain", c"by_list", c"by_text", c"by_two", c"by_expression"] {
            assert!(Partitions::of(table(name)?).is_none(), "{name:?}");
        }
        let partitions = Partitions::of(table(c"empty")?).ok_or("not partitioned by date")?;
        assert!(partitions.ranges.is_empty());
        assert_eq!(Partitions::has_place_for(table(c"empty")?, 0), Some(false));
        Ok(())
    }
}
