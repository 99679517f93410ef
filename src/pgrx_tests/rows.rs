#[pgrx::pg_schema]
mod tests {
    use operations_model::calendar::Day;
    use operations_model::test_data::TestData;
    use pgrx::prelude::*;

    /// What the table holds after the binary COPY is what the model says in words that PostgreSQL itself read.
    #[pg_test]
    fn rows_arrive_as_the_model_says() -> Result<(), Box<dyn std::error::Error>> {
        const ROWS: u64 = 3000;
        Spi::run("call operations_setup()")?;
        Spi::run("call operations_test_data('2025-08-01', '2025-10-31', 3000, -7)")?;

        let first = Day::from_postgres(9344).ok_or("2025-08-01")?;
        let last = Day::from_postgres(9344 + 91).ok_or("2025-10-31")?;
        let model = TestData::new((-7_i64).cast_unsigned(), first, last, ROWS);
        Spi::run(
            "create temp table expected (n bigint, operation_date date, operation_guid uuid, client_id int,
                 operation_type operation_type_enum, amount numeric(12,2), message jsonb)",
        )?;
        for (n, row) in (0_i64..).zip(model.range(0, ROWS)) {
            let guid: String = row.guid.iter().map(|byte| format!("{byte:02x}")).collect();
            Spi::run_with_args(
                "insert into expected
                 select $1, $2::date, $3::uuid, $4, $5::operation_type_enum, $6::numeric, $7::jsonb",
                &[
                    n.into(),
                    row.date.to_string().into(),
                    guid.into(),
                    row.client_id.into(),
                    row.operation_type.label().into(),
                    row.amount.to_string().into(),
                    row.message.to_json().into(),
                ],
            )?;
        }
        let differences = Spi::get_one::<i64>(
            "select count(*)
             from (select row_number() over (order by id) - 1 as n, * from operations) o
             full join expected e using (n)
             where (o.operation_date, o.operation_guid, o.client_id, o.operation_type, o.amount, o.message, o.status)
                is distinct from
                   (e.operation_date, e.operation_guid, e.client_id, e.operation_type, e.amount, e.message, 0::int2)",
        )?;
        assert_eq!(differences, Some(0));
        Ok(())
    }
}
