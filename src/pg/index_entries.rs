//! Entries in the indexes of a table, made row by row.

use std::ptr;

use pgrx::pg_sys;

use crate::pg::major::{self, Entries};

/// The indexes of a table that is being filled.
pub struct IndexEntries {
    relation: *mut pg_sys::ResultRelInfo,
    executor: *mut pg_sys::EState,
}

impl IndexEntries {
    /// Opens and locks them.
    ///
    /// # Safety
    ///
    /// The relation must be open until `close`, or until the abort of the transaction releases all of it.
    pub unsafe fn open(relation: pg_sys::Relation) -> Self {
        // SAFETY: by the contract. ExecOpenIndices fills the ResultRelInfo that InitResultRelInfo initialised.
        unsafe {
            let info = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            (*info).type_ = pg_sys::NodeTag::T_ResultRelInfo;
            pg_sys::InitResultRelInfo(info, relation, 0, ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(info, false);
            Self { relation: info, executor: pg_sys::CreateExecutorState() }
        }
    }

    /// The indexes, open.
    pub fn relations(&self) -> &[pg_sys::Relation] {
        // SAFETY: ExecOpenIndices has put in so many, which stay open until `close`; without any there is no array.
        unsafe {
            match usize::try_from((*self.relation).ri_NumIndices) {
                Ok(count @ 1..) => std::slice::from_raw_parts((*self.relation).ri_IndexRelationDescs, count),
                _ => &[],
            }
        }
    }

    /// Makes the entries of a new row.
    ///
    /// # Safety
    ///
    /// The slot must hold a row that is in the table, and say where.
    pub unsafe fn insert(&self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: by the contract.
        unsafe { self.make(slot, false, false) }
    }

    /// Makes the entries of a row that was updated: those that [`major::update`] asks for.
    ///
    /// # Safety
    ///
    /// As for [`Self::insert`].
    pub unsafe fn update(&self, slot: *mut pg_sys::TupleTableSlot, wanted: Entries) {
        if wanted != Entries::None {
            // SAFETY: by the contract.
            unsafe { self.make(slot, true, wanted == Entries::Summarizing) }
        }
    }

    unsafe fn make(&self, slot: *mut pg_sys::TupleTableSlot, is_update: bool, only_summarizing: bool) {
        // SAFETY: by the contract. The executor's memory for a row is freed after it, as COPY does.
        unsafe {
            major::insert_entries(self.relation, slot, self.executor, is_update, only_summarizing);
            let context = (*self.executor).es_per_tuple_exprcontext;
            if !context.is_null() {
                pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
            }
        }
    }

    /// Closes them. The locks are kept.
    pub fn close(self) {
        // SAFETY: releases what `open` made, once.
        unsafe {
            pg_sys::ExecCloseIndices(self.relation);
            pg_sys::FreeExecutorState(self.executor);
        }
    }
}
