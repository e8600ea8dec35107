#include "index/ingest/tree.h"

enum med_code med_tree_no_memory(const struct med_arena *arena, struct med_err *err)
{
    if (med_arena_used(arena) < MED_DOC_ARENA_BYTES_MAX / 2)
        return med_fail(err, MED_E_NOMEM, "out of memory for a record");
    return med_fail(err, MED_E_LIMIT, "the record needs more than %llu MiB of memory",
        MED_DOC_ARENA_BYTES_MAX / MED_MIB);
}

static struct med_node *append(struct med_tree *tree)
{
    struct med_node *node = med_arena_calloc(tree->arena, 1, sizeof *node);
    if (!node) return NULL;
    struct med_node *parent = tree->open;
    node->parent = parent;
    if (!parent) return node;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    return node;
}

enum med_code med_tree_begin(
    struct med_tree *tree, struct med_arena *arena, const char *const *ignored, struct med_err *err)
{
    *tree = (struct med_tree){.arena = arena, .ignored = ignored};
    tree->root = tree->open = append(tree);
    return tree->root ? MED_OK : med_tree_no_memory(arena, err);
}

static bool copy(struct med_arena *arena, struct med_str from, struct med_str *to)
{
    return med_arena_str(arena, from, to);
}

static enum med_code on_start(void *ctx, const struct med_xml_element *element, struct med_err *err)
{
    struct med_tree *tree = ctx;
    const struct med_node probe = {.name = element->name};
    if (tree->ignored_depth > 0 || med_node_in(&probe, tree->ignored)) {
        tree->ignored_depth++;
        return MED_OK;
    }
    struct med_node *node = append(tree);
    if (!node || !copy(tree->arena, element->name, &node->name))
        return med_tree_no_memory(tree->arena, err);
    if (element->attr_count > 0) {
        node->attrs = med_arena_calloc(tree->arena, element->attr_count, sizeof *node->attrs);
        if (!node->attrs) return med_tree_no_memory(tree->arena, err);
    }
    for (size_t i = 0; i < element->attr_count; i++) {
        const struct med_xml_attr *from = &element->attrs[i];
        struct med_xml_attr *to = &node->attrs[i];
        if (!copy(tree->arena, from->name, &to->name) ||
            !copy(tree->arena, from->value, &to->value))
            return med_tree_no_memory(tree->arena, err);
    }
    node->attr_count = element->attr_count;
    tree->open = node;
    return MED_OK;
}

static enum med_code on_end(void *ctx, struct med_str name, struct med_err *err)
{
    (void)name, (void)err;
    struct med_tree *tree = ctx;
    if (tree->ignored_depth > 0)
        tree->ignored_depth--;
    else if (tree->open->parent)
        tree->open = tree->open->parent;
    return MED_OK;
}

static enum med_code on_text(void *ctx, struct med_str text, struct med_err *err)
{
    struct med_tree *tree = ctx;
    if (tree->ignored_depth > 0 || text.len == 0) return MED_OK;
    struct med_node *node = append(tree);
    return node && copy(tree->arena, text, &node->text) ? MED_OK
                                                        : med_tree_no_memory(tree->arena, err);
}

struct med_xml_handler med_tree_handler(struct med_tree *tree)
{
    return (struct med_xml_handler){.start = on_start, .end = on_end, .text = on_text, .ctx = tree};
}

bool med_node_is(const struct med_node *node, const char *name)
{
    return node && med_str_eq(node->name, med_str_of(name));
}

bool med_node_in(const struct med_node *node, const char *const *names)
{
    if (node->name.len == 0) return false;
    for (; names && *names; names++) {
        if ((*names)[0] == node->name.ptr[0] && med_node_is(node, *names)) return true;
    }
    return false;
}

struct med_str med_node_attr(const struct med_node *node, const char *name)
{
    struct med_str wanted = med_str_of(name);
    for (size_t i = 0; i < node->attr_count; i++) {
        if (med_str_eq(node->attrs[i].name, wanted)) return node->attrs[i].value;
    }
    return (struct med_str){0};
}

static const struct med_node *child_of(const struct med_node *node, struct med_str name)
{
    for (const struct med_node *c = node ? node->first : NULL; c; c = c->next) {
        if (med_str_eq(c->name, name)) return c;
    }
    return NULL;
}

const struct med_node *med_node_child(const struct med_node *node, const char *name)
{
    return child_of(node, med_str_of(name));
}

const struct med_node *med_node_path(const struct med_node *node, const char *path)
{
    while (node && *path) {
        size_t len = strcspn(path, "/");
        node = child_of(node, (struct med_str){.ptr = path, .len = len});
        path += len + (path[len] == '/');
    }
    return node;
}

const struct med_node *med_node_next(
    const struct med_node *node, const struct med_node *top, bool skip)
{
    if (!skip && node->first) return node->first;
    while (node != top) {
        if (node->next) return node->next;
        node = node->parent;
    }
    return NULL;
}

const struct med_node *med_node_find(const struct med_node *top, const char *name)
{
    const struct med_node *node = top;
    while (node && (node == top || !med_node_is(node, name)))
        node = med_node_next(node, top, false);
    return node;
}
