package entity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/keyset"
)

// Rules stand in the schema, as @access(read: …, write: …):
//
//   - At a field of an object, read says who may read it: it is null for others. Who may not read it by role alone may not filter, sort or find by it
//     either, since that would tell what it has. write says who may write it; without it that is whoever may write the object.
//   - At an object type, read says which objects there are for a viewer: others are in no list, number or relation, and who may not read all of them by
//     role alone may not filter by a relation to them either. write says who may change and remove them: EDITOR, where it says nothing.
//   - At a field of Query it is null for others, at a field of Mutation or Subscription it is an error. There is no object yet: a relation lets any viewer
//     in who is a user, and what the field does with objects asks again.

// relation is what a viewer who is a user may be to an object of a type.
type relation struct {
	name      string
	bit       access.Relations
	self      bool                              // it is the user's own object
	condition func(user int64) keyset.Condition // in which t is the table of the objects
	// may takes the place of condition in statements that read objects, where that takes long: to which of the objects that meet it the user has the
	// relation is told, by their numbers, by the statements that those returns. nil: condition is quick.
	may   func(user int64) keyset.Condition
	those func(objects []int64, user int64) []keyset.Statement
}

// Related says where T keeps what the viewer is to an object.
func (o *Object[T]) Related(at func(*T) *access.Relations) {
	o.related = at
	o.seen = func(object any) (int64, access.Relations) {
		t := batch.ObjectOf[*T](object)
		return *o.id(t), *at(t)
	}
}

// Self declares the relation of a user to the object that is this user.
func (o *objectBase) Self(name string) {
	o.relations = append(o.relations, &relation{name: name, self: true, condition: func(user int64) keyset.Condition {
		return keyset.OneOf("t.id", []int64{user})
	}})
}

// Relate declares a relation of users to objects: condition, which begins with a column of t, the table of the objects, tells to which a user has it.
func (o *objectBase) Relate(name string, condition func(user int64) keyset.Condition) {
	o.relations = append(o.relations, &relation{name: name, bit: 1 << len(o.relations), condition: condition})
}

// RelateAbove declares the relation of users, who are such objects, to those below them, in the tree in which a column has the number of the next one above.
// There may be many: so a statement that reads objects tells only whether there are any, and where there are, one more goes up from what it has read.
func (o *objectBase) RelateAbove(name, column string) {
	tree := &keyset.Tree{Table: o.table, Parent: column}
	o.Relate(name, func(user int64) keyset.Condition { return tree.Under("t.id", user) })
	r := o.relations[len(o.relations)-1]
	r.may, r.those = tree.Begun, tree.Those
}

// guard is a rule of the schema about a field.
type guard struct {
	field string
	rule  access.Rule
}

// guards are the rules about a type.
type guards struct {
	policy    *access.Policy // the schema's
	relations []*relation
	seen      func(object any) (id int64, relations access.Relations) // nil: it has no relations

	readable access.Rule // about its objects
	writable access.Rule
	reads    []guard  // about reading fields
	writes   []guard  // about writing them
	mayWrite []string // the fields that tell whether the viewer may write: see ViewerCan
}

// readRule returns the rule about reading a field.
func (g *guards) readRule(field string) access.Rule { return ruleOf(g.reads, field) }

// writeRule returns the rule about writing a field.
func (g *guards) writeRule(field string) access.Rule {
	if rule := ruleOf(g.writes, field); rule.Given() {
		return rule
	}
	return g.writable
}

// ruleOf returns the rule about a field, by its name or, where it is a relation, by that in inputs.
func ruleOf(all []guard, field string) access.Rule {
	for _, name := range []string{field, strings.TrimSuffix(field, "Id")} {
		if i := slices.IndexFunc(all, func(g guard) bool { return g.field == name }); i >= 0 {
			return all[i].rule
		}
	}
	return access.Rule{}
}

// allows reports whether a rule lets the viewer of ctx do something whatever the object is.
func (g *guards) allows(ctx context.Context, rule access.Rule) bool {
	return allows(ctx, *g.policy, rule)
}

// allows reports whether a policy lets the viewer of ctx do what a rule is about, whatever the object is.
func allows(ctx context.Context, policy access.Policy, rule access.Rule) bool {
	viewer := access.ViewerOf(ctx)
	return viewer == nil || !rule.Given() || policy.Allows(ctx, viewer, rule)
}

// may reports whether a rule lets the viewer of ctx do something with an object. nil: with one that is not there yet.
func (g *guards) may(ctx context.Context, rule access.Rule, object any) bool {
	refused := g.refused(ctx, rule)
	return refused == nil || !refused(object)
}

// refused returns what reports with which objects a rule does not let the viewer of ctx do something; nil: there are none.
func (g *guards) refused(ctx context.Context, rule access.Rule) func(object any) bool {
	if g.allows(ctx, rule) {
		return nil
	}
	user, self, bits := access.ViewerOf(ctx).UserID, false, access.Relations(0)
	for _, r := range g.relations {
		if slices.Contains(rule.Relations, r.name) {
			self, bits = self || r.self, bits|r.bit
		}
	}
	return func(object any) bool {
		if user == 0 || object == nil || g.seen == nil {
			return true
		}
		id, relations := g.seen(object)
		return (!self || id != user) && relations&bits == 0
	}
}

// asked returns the relations to objects that have to be read so that it can be told what the viewer of ctx may do with some fields.
func (g *guards) asked(ctx context.Context, selects func(field string) bool, writes bool) (asked []*relation) {
	viewer := access.ViewerOf(ctx)
	if viewer == nil || viewer.UserID == 0 || len(g.relations) == 0 {
		return nil
	}
	ask := func(rule access.Rule) {
		if len(rule.Relations) == 0 || g.allows(ctx, rule) {
			return
		}
		for _, r := range g.relations {
			if !r.self && slices.Contains(rule.Relations, r.name) && !slices.Contains(asked, r) {
				asked = append(asked, r)
			}
		}
	}
	for _, read := range g.reads {
		if selects(read.field) {
			ask(read.rule)
		}
	}
	if writes || slices.ContainsFunc(g.mayWrite, selects) {
		ask(g.writable)
		for _, write := range g.writes {
			ask(write.rule)
		}
	}
	return asked
}

// relationColumns appends columns that tell of relations, as a statement has them in which t is the table of the objects.
func relationColumns(ctx context.Context, asked []*relation, to []string) []string {
	for _, r := range asked {
		told := r.condition
		if r.may != nil {
			told = r.may
		}
		to = append(to, literal(told(access.ViewerOf(ctx).UserID))+" AS viewer_"+strings.ToLower(r.name))
	}
	return to
}

// literal is a condition whose arguments, whole numbers all, stand in its text: a column has none.
func literal(c keyset.Condition) string {
	text, args := c.SQL()
	for _, arg := range args {
		text = strings.Replace(text, "?", strconv.FormatInt(arg.(int64), 10), 1)
	}
	return text
}

// relationTargets returns where such columns go.
func (o *Object[T]) relationTargets(asked []*relation) []func(*T) any {
	targets := make([]func(*T) any, len(asked))
	for i, r := range asked {
		targets[i] = func(t *T) any { return relationBit{o.related(t), r.bit} }
	}
	return targets
}

// readRelated is read of rows with an object each, and with the relations to it that were asked for.
func readRelated[R, T any](
	ctx context.Context, o *Object[T], asked []*relation, object func(*R) *T, statements []keyset.Statement, width int, targets func(r *R, to []any),
) ([]*R, error) {
	rows, err := read(ctx, statements, width, targets)
	if err != nil {
		return nil, err
	}
	for _, r := range asked {
		if r.those == nil {
			continue
		}
		var ids []int64
		for _, row := range rows {
			if t := object(row); *o.related(t)&r.bit != 0 {
				ids = append(ids, o.ID(t))
			}
		}
		has, err := r.among(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if t := object(row); !has[o.ID(t)] {
				*o.related(t) &^= r.bit
			}
		}
	}
	return rows, nil
}

// among returns to which objects, by their numbers, the viewer of ctx has a relation, of those of which the statements that have read them could not tell.
func (r *relation) among(ctx context.Context, ids []int64) (has map[int64]bool, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	has = make(map[int64]bool, len(ids))
	for _, s := range r.those(slices.Compact(ids), access.ViewerOf(ctx).UserID) {
		those, err := Numbers(ctx, s.Text, s.Args...)
		if err != nil {
			return nil, err
		}
		for _, id := range those {
			has[id] = true
		}
	}
	return has, nil
}

// relationBit scans whether a viewer has a relation.
type relationBit struct {
	to  *access.Relations
	bit access.Relations
}

// Scan implements sql.Scanner.
func (b relationBit) Scan(value any) error {
	var has bool
	if value == nil {
		return nil
	}
	if err := (boolField{&has}).Scan(value); err != nil {
		return err
	}
	if has {
		*b.to |= b.bit
	}
	return nil
}

// visible returns the condition of the objects that there are for the viewer of ctx, in which t is their table; all reports whether these are all.
func (g *guards) visible(ctx context.Context) (condition keyset.Condition, all bool) {
	if g.allows(ctx, g.readable) {
		return condition, true
	}
	var one []keyset.Condition
	if user := access.ViewerOf(ctx).UserID; user != 0 {
		for _, r := range g.relations {
			if slices.Contains(g.readable.Relations, r.name) {
				one = append(one, r.condition(user))
			}
		}
	}
	return keyset.Any(one...), false
}

// narrowedKeys returns the keys of lists without what there is not for the viewer of ctx. Cursors are of the lists as they were asked for.
func narrowedKeys(ctx context.Context, g *guards, keys []keyset.Key) []keyset.Key {
	condition, all := g.visible(ctx)
	if all {
		return keys
	}
	narrowed := slices.Clone(keys)
	for i := range narrowed {
		narrowed[i].Filter = narrowed[i].Filter.Where(condition)
	}
	return narrowed
}

// narrowedPages has the numbers of the lists of pages be those of what there is for the viewer of ctx.
func narrowedPages[E, N any](ctx context.Context, g *guards, pages map[keyset.Key]*keyset.Connection[E, N]) map[keyset.Key]*keyset.Connection[E, N] {
	if condition, all := g.visible(ctx); !all {
		for _, page := range pages {
			page.Key.Filter = page.Key.Filter.Where(condition)
		}
	}
	return pages
}

// Writable returns the FORBIDDEN errors about fields of an object that the viewer of ctx may not write, by their names in inputs; "" is the object
// itself. nil: they may all be written. object is as it was read by Read; nil: it is to be added.
func (o *Object[T]) Writable(ctx context.Context, object *T, fields ...string) error {
	if access.ViewerOf(ctx) == nil {
		return nil
	}
	var known any
	if object != nil {
		known = object
	}
	var refused apierror.Errors
	if len(fields) == 0 && !o.changeable(ctx, known) { // else anybody could have a mutation run that changes nothing
		refused = append(refused, apierror.Forbidden("id", "to change this %s needs %s", strings.ToLower(o.name), o.writable.Needs()))
	}
	for _, field := range fields {
		if rule := o.writeRule(field); !o.may(ctx, rule, known) {
			refused = append(refused, apierror.Forbidden(field, "to write %s of this %s needs %s", cmp.Or(field, "all"), strings.ToLower(o.name), rule.Needs()))
		}
	}
	return refused.Err()
}

// Hidden returns the names of the fields of an object that the viewer of ctx may not read, as far as these are columns: by its number, and by what the viewer is to it.
func (o *Object[T]) Hidden(ctx context.Context, id int64, relations access.Relations) (names []string) {
	t := new(T)
	*o.id(t) = id
	if o.related != nil {
		*o.related(t) = relations
	}
	for _, f := range o.fields {
		if rule := o.readRule(f.name); rule.Given() && !o.may(ctx, rule, t) {
			names = append(names, f.name)
		}
	}
	return names
}

// changeable reports whether the viewer of ctx may write something of an object.
func (g *guards) changeable(ctx context.Context, object any) bool {
	return g.may(ctx, g.writable, object) || slices.ContainsFunc(g.writes, func(w guard) bool { return g.may(ctx, w.rule, object) })
}

// ViewerCan declares the fields that say whether the viewer may change an object, or remove it: by the rules, and by the viewer's scopes.
func ViewerCan[T any](o *Object[T], update, remove string) {
	o.mayWrite = append(o.mayWrite, update, remove)
	declare := func(field string, may func(ctx context.Context, t *T) bool) {
		source := batch.NewSource(func(ctx context.Context, objects []*T, _ batch.Columns) (map[*T]bool, error) {
			can, viewer := make(map[*T]bool, len(objects)), access.ViewerOf(ctx)
			writes := viewer == nil || viewer.Within(access.ScopeWrite)
			for _, t := range objects {
				can[t] = writes && may(ctx, t)
			}
			return can, nil
		})
		o.schema.add(func() batch.Field {
			return batch.Relation(o.name, field, source, batch.Key(func(t *T) (*T, bool) { return t, true })).From("id")
		})
	}
	declare(update, func(ctx context.Context, t *T) bool {
		return o.changeable(ctx, t)
	})
	declare(remove, func(ctx context.Context, t *T) bool { return o.may(ctx, o.writable, t) })
}

// checkAccess takes the rules of a schema over, and refuses those that cannot be kept.
func (s *Schema) checkAccess(schema *ast.Schema, plan *batch.Plan) error {
	s.ruled = schema
	var wrong []error
	for _, o := range s.objects {
		wrong = append(wrong, o.checkRelations())
	}
	var all []*ruled
	for _, name := range slices.Sorted(maps.Keys(schema.Types)) {
		def := schema.Types[name]
		switch {
		case strings.HasPrefix(name, "__"):
		case def.Kind == ast.Interface:
			wrong = append(wrong, checkInterface(def))
		case def.Kind == ast.Object:
			r := &ruled{schema: s, guards: &guards{policy: &s.policy}, def: def, root: def == schema.Query || def == schema.Mutation || def == schema.Subscription}
			if of := s.objectOf(name); of != nil {
				r.guards, r.isEntity, r.hasID = &of.guards, true, of.hasID
			}
			all = append(all, r)
			wrong = append(wrong, r.take(schema, plan))
		}
	}
	for _, r := range all {
		wrong = append(wrong, r.checkLeads(schema))
	}
	return errors.Join(wrong...)
}

// objectOf returns the declaration of a type; nil: it has none.
func (s *Schema) objectOf(typ string) *objectBase {
	if i := slices.IndexFunc(s.objects, func(o object) bool { return o.name == typ }); i >= 0 {
		return s.objects[i].objectBase
	}
	return nil
}

// maxRelations is how many access.Relations has room for.
const maxRelations = 8

// checkRelations refuses relations of users that could not be read, or not be kept.
func (o *objectBase) checkRelations() error {
	var wrong []error
	if len(o.relations) > 0 && o.seen == nil {
		wrong = append(wrong, fmt.Errorf("entity: %s declares %s, and not where it is kept: add Related", o.name, o.relations[0].name))
	}
	if n := len(o.relations); n > maxRelations {
		wrong = append(wrong, fmt.Errorf("entity: %s declares %d relations of users, and %d are kept: take some out", o.name, n, maxRelations))
	}
	for _, r := range o.relations {
		if text, _ := r.condition(1).SQL(); !strings.HasPrefix(text, "t.") {
			wrong = append(wrong, fmt.Errorf("entity: the relation %s of %s is %q: let it begin with a column of t, such as t.id IN (…)", r.name, o.name, text))
		}
	}
	return errors.Join(wrong...)
}

// checkInterface refuses rules at the fields of an interface, whose types each have their own.
func checkInterface(def *ast.Definition) error {
	var wrong []error
	for _, field := range def.Fields {
		if field.Directives.ForName(access.Directive) != nil {
			wrong = append(wrong, fmt.Errorf("entity: a rule stands at %s.%s, a field of an interface: put it at that field of each type that implements it", def.Name, field.Name))
		}
	}
	return errors.Join(wrong...)
}

// ruled is a type of a schema whose rules are taken over.
type ruled struct {
	schema   *Schema
	guards   *guards
	def      *ast.Definition
	root     bool // there is no object
	isEntity bool // it is declared: it has a table
	hasID    bool // its objects have ids: they are no edges
}

// take takes the rules over.
func (r *ruled) take(schema *ast.Schema, plan *batch.Plan) error {
	var wrong []error
	read, readErr := r.rule(r.def.Directives, r.def.Name, access.Read)
	write, writeErr := r.rule(r.def.Directives, r.def.Name, access.Write)
	wrong = append(wrong, readErr, writeErr)
	switch {
	case !read.Given() && !write.Given():
	case !r.hasID:
		wrong = append(wrong, fmt.Errorf("entity: a rule stands at the type %s, whose objects no table has: put one at the fields that lead to it", r.def.Name))
	default:
		r.guards.readable = read
		if write.Given() {
			r.guards.writable = write
		}
	}
	for _, field := range r.def.Fields {
		name := r.def.Name + "." + field.Name
		read, readErr := r.rule(field.Directives, name, access.Read)
		write, writeErr := r.rule(field.Directives, name, access.Write)
		wrong = append(wrong, readErr, writeErr)
		if read.Given() {
			wrong = append(wrong, r.takeRead(schema, plan, field, read))
		}
		if write.Given() {
			wrong = append(wrong, r.takeWrite(schema, field, write))
		}
	}
	return errors.Join(wrong...)
}

// rule returns a rule, or what is wrong with it.
func (r *ruled) rule(directives ast.DirectiveList, of string, action access.Action) (access.Rule, error) {
	rule, err := access.RuleOf(directives, of, action)
	if err != nil {
		return rule, err
	}
	among, to := [][]*relation{r.guards.relations}, "a "+r.def.Name
	if r.root { // whose relations are to what the field leads to
		among, to = nil, "anything"
		for _, o := range r.schema.objects {
			among = append(among, o.relations)
		}
	}
	for _, name := range rule.Relations {
		if !slices.ContainsFunc(slices.Concat(among...), func(known *relation) bool { return known.name == name }) {
			return rule, fmt.Errorf("entity: the rule about %s of %s names %s, and nobody is that to %s: declare the relation with Relate, or take it out", action, of, name, to)
		}
	}
	return rule, nil
}

// checkLeads refuses relations that are never null to objects of which there may be none for a viewer. An edge is only there where its node is.
func (r *ruled) checkLeads(schema *ast.Schema) error {
	var wrong []error
	for _, field := range r.def.Fields {
		if !r.isEntity || !field.Type.NonNull || field.Type.Elem != nil || !r.hasID && field.Name == "node" {
			continue
		}
		for _, to := range schema.GetPossibleTypes(schema.Types[field.Type.Name()]) {
			if of := r.schema.objectOf(to.Name); of != nil && of.readable.Given() {
				wrong = append(wrong, fmt.Errorf("entity: %s.%s leads to a %s, of which a rule about reading hides some, and cannot be null: let it be %s, since it is null where one is hidden",
					r.def.Name, field.Name, to.Name, field.Type.Name()))
			}
		}
	}
	return errors.Join(wrong...)
}

func (r *ruled) takeRead(schema *ast.Schema, plan *batch.Plan, field *ast.FieldDefinition, rule access.Rule) error {
	g := r.guards
	switch {
	case r.def == schema.Mutation:
		return fmt.Errorf("entity: the rule at %s is about reading: a mutation has one about writing", rule.Of)
	case field.Type.NonNull && r.def != schema.Subscription:
		return fmt.Errorf("entity: %s has a rule about reading, and cannot be null: let it be %s, since it is null for whoever may not read it", rule.Of, strings.TrimSuffix(field.Type.String(), "!"))
	}
	if r.root {
		r.schema.roots[rule.Of] = rule
	} else {
		g.reads = append(g.reads, guard{field.Name, rule})
	}
	if r.def == schema.Subscription {
		return nil
	}
	plan.Hide(r.def.Name, field.Name, func(ctx context.Context) func(any) bool {
		if r.root {
			return r.schema.refused(ctx, rule)
		}
		return g.refused(ctx, rule)
	})
	return nil
}

func (r *ruled) takeWrite(schema *ast.Schema, field *ast.FieldDefinition, rule access.Rule) error {
	switch {
	case r.def == schema.Mutation:
		r.schema.roots[rule.Of] = rule
	case r.hasID:
		r.guards.writes = append(r.guards.writes, guard{field.Name, rule})
	default:
		return fmt.Errorf("entity: the rule at %s is about writing, and nobody writes a %s: take it out", rule.Of, r.def.Name)
	}
	return nil
}

// AllowsAll reports whether the rule at a field of Query, such as Query.changes, lets the viewer of ctx see whatever it has, without regard to relations.
func (s *Schema) AllowsAll(ctx context.Context, field string) bool {
	return allows(ctx, s.policy, s.roots[field])
}

// refused is guards.refused for a rule at a field of Query, whose object is Root.
func (s *Schema) refused(ctx context.Context, rule access.Rule) func(object any) bool {
	if s.enters(ctx, rule) {
		return nil
	}
	return func(any) bool { return true }
}

// enters reports whether a rule at a field of Query, Mutation or Subscription lets the viewer of ctx in.
func (s *Schema) enters(ctx context.Context, rule access.Rule) bool {
	return allows(ctx, s.policy, rule) || len(rule.Relations) > 0 && access.ViewerOf(ctx).UserID != 0
}
