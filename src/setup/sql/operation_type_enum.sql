-- DROP EXTENSION .. CASCADE takes the columns of this type along, unless the type was taken out of the extension before. Then it is
-- still here, with the rows, and becomes a part of the extension again. Operators are of pg_catalog: of those in the schema one for just
-- these types would be taken, and run as the superuser who creates the extension.
do $do$
declare
    kept oid := (
        select oid from pg_catalog.pg_type
        where typname = 'operation_type_enum' and typnamespace = '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid
    );
    owner name;
    labels name[];
begin
    if kept is null then
        create type @extschema@.operation_type_enum as enum ('offline', 'online');
        return;
    end if;
    -- Its owner can change it, so nobody may have put it here who could not have made the extension.
    select rolname into owner
    from pg_catalog.pg_type join pg_catalog.pg_roles on pg_roles.oid = typowner
    where pg_type.oid = kept and rolsuper;
    select pg_catalog.array_agg(enumlabel order by enumsortorder) into labels
    from pg_catalog.pg_enum
    where enumtypid = kept;
    if owner is null or labels is null or not labels operator(pg_catalog.=) '{offline,online}'::name[] then
        raise exception 'type "operation_type_enum" exists already' using
            errcode = 'duplicate_object',
            detail = 'It is not the one of operations_ext: that belongs to a superuser and has the labels offline and online.',
            hint = 'Rename it, or create the extension in another schema.';
    end if;
    alter extension operations_ext add type @extschema@.operation_type_enum;
end
$do$;

comment on type @extschema@.operation_type_enum is
    'How an operation came in: offline (branch, cash machine, till) or online (web, application, card on file).';
