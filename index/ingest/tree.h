/* A small element tree of one record, made from the parsers' callbacks and living in an arena: for
 * formats whose elements mean something only together (JATS, HTML). Walk it with med_node_next: no
 * recursion, whatever the depth. */
#pragma once

#include "index/ingest/xml.h"

struct med_node {
    struct med_str name; /* local name; empty for a piece of text */
    struct med_str text; /* of a piece of text; neighbours may be pieces of one run */
    struct med_xml_attr *attrs;
    size_t attr_count;
    struct med_node *parent, *first, *last, *next;
};

struct med_tree {
    struct med_arena *arena;
    const char *const *ignored; /* NULL-terminated: elements that are left out with all they hold */
    struct med_node *root;      /* without name; its children are the record's top elements */
    struct med_node *open;
    unsigned ignored_depth;
};

/* Starts an empty tree in the arena, which is the caller's. */
enum med_code med_tree_begin(struct med_tree *tree, struct med_arena *arena,
    const char *const *ignored, struct med_err *err) MED_CHECK;
/* Callbacks that build it; ctx is the tree. */
struct med_xml_handler med_tree_handler(struct med_tree *tree);

/* What a failed allocation in the record's arena (of MED_DOC_ARENA_BYTES_MAX) means: MED_E_LIMIT
 * for a record that filled it, which then is skipped, MED_E_NOMEM when the system had no more. */
enum med_code med_tree_no_memory(const struct med_arena *arena, struct med_err *err) MED_CHECK;

bool med_node_is(const struct med_node *node, const char *name);         /* NULL-safe */
bool med_node_in(const struct med_node *node, const char *const *names); /* NULL-terminated list */
struct med_str med_node_attr(const struct med_node *node, const char *name);
const struct med_node *med_node_child(
    const struct med_node *node, const char *name); /* first one, or NULL */
/* Down a path of names, "article-meta/title-group/article-title"; NULL where a step is missing. */
const struct med_node *med_node_path(const struct med_node *node, const char *path);
/* The next node of the subtree of top in document order; with skip, without going into node's
 * children. NULL at the end. */
const struct med_node *med_node_next(
    const struct med_node *node, const struct med_node *top, bool skip);
/* First descendant of that name, or NULL. */
const struct med_node *med_node_find(const struct med_node *top, const char *name);
