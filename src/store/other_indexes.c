/*-------------------------------------------------------------------------
 * other_indexes.c
 *		Indexes on our tables that are not, or not yet, ours.
 *
 * Whoever runs REINDEX CONCURRENTLY has a second index filled beside one of
 * ours, and relies on everybody who writes to make entries in both; and a
 * DBA may have added an index of his own.  So what the executor does for
 * every index is done for these: with expressions, and with a predicate.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "utils/rel.h"

#include "store/other_indexes.h"
#include "store/relations.h"

static void insert_into(Relation index, Relation heap, TupleTableSlot *slot);

/*
 * That there is none is remembered, since it is asked for every row: an index
 * that comes, goes or becomes ready invalidates its table, and then there is
 * another epoch.  Reading the list may bring that about by itself.
 */
List *
wf_other_indexes(Relation heap)
{
	static struct
	{
		Oid			table;
		uint64		epoch;		/* in which it had none */
	}			known[64];
	Oid			table = RelationGetRelid(heap);
	int			i = table % lengthof(known);
	List	   *others = NIL;
	uint64		epoch;

	(void) wf_relations();
	if (known[i].table == table && known[i].epoch == wf_relations_epoch())
		return NIL;
	do
	{
		List	   *indexes;
		ListCell   *lc;

		list_free(others);
		others = NIL;
		(void) wf_relations();
		epoch = wf_relations_epoch();
		indexes = RelationGetIndexList(heap);
		foreach(lc, indexes)
		{
			if (!wf_relations_include(lfirst_oid(lc)))
				others = lappend_oid(others, lfirst_oid(lc));
		}
		list_free(indexes);
	} while (epoch != wf_relations_epoch());
	if (others == NIL)
	{
		known[i].table = table;
		known[i].epoch = epoch;
	}
	return others;
}

void
wf_insert_into_other_indexes(List *indexes, Relation heap, HeapTuple row, ItemPointer place)
{
	TupleTableSlot *slot;
	ListCell   *lc;

	if (indexes == NIL)
		return;
	slot = MakeSingleTupleTableSlot(RelationGetDescr(heap), &TTSOpsHeapTuple);
	ExecStoreHeapTuple(row, slot, false);
	slot->tts_tid = *place;
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);

		if (index->rd_index->indisready)
			insert_into(index, heap, slot);
		index_close(index, NoLock);
	}
	ExecDropSingleTupleTableSlot(slot);
}

static void
insert_into(Relation index, Relation heap, TupleTableSlot *slot)
{
	IndexInfo  *info = BuildIndexInfo(index);
	EState	   *estate = CreateExecutorState();
	ExprContext *context = GetPerTupleExprContext(estate);
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	context->ecxt_scantuple = slot;
	if (ExecQual(ExecPrepareQual(info->ii_Predicate, estate), context))
	{
		FormIndexDatum(info, slot, estate, values, isnull);
		(void) index_insert(index, values, isnull, &slot->tts_tid, heap,
							index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
							false, info);
	}
	FreeExecutorState(estate);
}
