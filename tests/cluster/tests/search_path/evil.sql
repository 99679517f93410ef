-- Run by search_path.rs: the schema `evil`, with a trap for every function, operator, type and relation of pg_catalog that
-- can be made, and look-alikes of ours.

CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.trap(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS
    $$ BEGIN RAISE LOG 'TRAP SPRUNG: %', what; RETURN true; END $$;
CREATE FUNCTION evil.row_trap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE LOG 'TRAP SPRUNG: %', TG_RELID::pg_catalog.regclass; RETURN NEW; END $$;
SET check_function_bodies = off;
DO $make$
DECLARE thing record; made int := 0;
BEGIN
    FOR thing IN
        SELECT proname, pg_get_function_identity_arguments(oid) AS arguments, pg_get_function_result(oid) AS result
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w')
        AND NOT ('internal'::regtype = ANY (proargtypes) OR 'cstring'::regtype = ANY (proargtypes))
        AND prorettype NOT IN ('internal'::regtype, 'cstring'::regtype)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', thing.proname,
                thing.arguments, thing.result,
                format('BEGIN RAISE LOG %L; RETURN%s; END', 'TRAP SPRUNG: function ' || thing.proname,
                       CASE WHEN thing.result LIKE 'SETOF%' OR thing.result LIKE 'TABLE%' OR thing.arguments LIKE '%OUT %'
                            OR thing.result = 'void' THEN '' ELSE ' NULL' END));
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;  -- what cannot be made cannot be a trap
        END;
    END LOOP;
    IF made < 1500 THEN RAISE 'only % look-alike functions', made; END IF;

    made := 0;
    FOR thing IN
        SELECT oprname, oid, nullif(oprleft, 0)::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result
        FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprright <> 0
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.operator_%s(%s) RETURNS %s LANGUAGE plpgsql AS %L', thing.oid,
                concat_ws(',', thing.l, thing.r), thing.result,
                format('BEGIN RAISE LOG %L; RETURN NULL; END', 'TRAP SPRUNG: operator ' || thing.oid::regoperator));
            EXECUTE format('CREATE OPERATOR evil.%s (%s RIGHTARG = %s, FUNCTION = evil.operator_%s)', thing.oprname,
                'LEFTARG = ' || thing.l || ',', thing.r, thing.oid);
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    IF made < 500 THEN RAISE 'only % look-alike operators', made; END IF;

    FOR thing IN SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b'
        AND typcategory <> 'A' AND typname NOT LIKE 'pg\_%'
    LOOP
        EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%I CHECK (evil.trap(%L))', thing.typname, thing.typname,
            'type ' || thing.typname);
    END LOOP;

    -- All columns but those of pseudo-types, which no view may have.
    FOR thing IN
        SELECT relname, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND atttypid <> 'anyarray'::regtype
        WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') AND relname NOT LIKE 'pg\_stat%ist%' GROUP BY relname
    LOOP
        EXECUTE format('CREATE VIEW evil.%I AS SELECT %s FROM pg_catalog.%I WHERE evil.trap(%L)', thing.relname,
            thing.columns, thing.relname, 'relation ' || thing.relname);
    END LOOP;
END $make$;
SET check_function_bodies = on;

CREATE TYPE evil.operation_type_enum AS ENUM ('offline', 'online');
CREATE TABLE evil.operations (LIKE public.operations INCLUDING ALL);
CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON evil.operations FOR EACH ROW EXECUTE FUNCTION evil.row_trap();
INSERT INTO evil.operations (operation_date, operation_guid, client_id, operation_type, amount, message)
    SELECT current_date, gen_random_uuid(), 1, 'online', 1, '{}' FROM generate_series(1, 10);
CREATE VIEW evil.client_type_sum_mv AS SELECT * FROM public.client_type_sum_mv WHERE evil.trap('client_type_sum_mv');
CREATE VIEW evil.operations_job AS SELECT * FROM public.operations_job WHERE evil.trap('operations_job');
