package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"hash/fnv"
	"strings"
)

// model is layout.go, understood: what the three renderers need and nothing else.
type model struct {
	version uint64
	consts  []constGroup
	structs []structure
}

type constGroup struct {
	doc    string
	consts []namedConst
}

type namedConst struct {
	name, comment string
	value         uint64
}

type structure struct {
	name, doc string
	size      int64
	fields    []field
}

type field struct {
	name         string // "" for padding
	comment      string
	elem         string // uint8, uint32, uint64 or the name of a structure
	count        int64  // elements; 1 without an array
	countName    string // the constant that gives count, or ""
	array        bool
	offset, size int64
}

// parse reads and type-checks the layout for amd64, the only architecture of the ABI.
func parse(path string) (*model, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	sizes := types.SizesFor("gc", "amd64")
	conf := types.Config{Sizes: sizes}
	pkg, err := conf.Check("queue", fset, []*ast.File{file}, nil)
	if err != nil {
		return nil, err
	}
	m := &model{}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			return nil, fmt.Errorf("%s: only constants and structures belong here", fset.Position(d.Pos()))
		}
		switch g.Tok {
		case token.CONST:
			if err := m.addConsts(pkg, g); err != nil {
				return nil, err
			}
		case token.TYPE:
			for _, s := range g.Specs {
				if err := m.addStruct(pkg, sizes, g.Doc.Text(), s.(*ast.TypeSpec)); err != nil {
					return nil, err
				}
			}
		}
	}
	return m, nil
}

func (m *model) addConsts(pkg *types.Package, g *ast.GenDecl) error {
	group := constGroup{doc: strings.TrimSpace(g.Doc.Text())}
	for _, s := range g.Specs {
		spec := s.(*ast.ValueSpec)
		for _, n := range spec.Names {
			v, ok := constant.Uint64Val(constant.ToInt(pkg.Scope().Lookup(n.Name).(*types.Const).Val()))
			if !ok {
				return fmt.Errorf("constant %s is not an unsigned integer", n.Name)
			}
			if n.Name == "ABIVersion" {
				m.version = v
			}
			group.consts = append(group.consts, namedConst{n.Name, oneLine(spec.Comment.Text()), v})
		}
	}
	m.consts = append(m.consts, group)
	return nil
}

func (m *model) addStruct(pkg *types.Package, sizes types.Sizes, doc string, spec *ast.TypeSpec) error {
	t, ok := pkg.Scope().Lookup(spec.Name.Name).Type().Underlying().(*types.Struct)
	if !ok {
		return fmt.Errorf("type %s is not a structure", spec.Name.Name)
	}
	vars := make([]*types.Var, t.NumFields())
	for i := range vars {
		vars[i] = t.Field(i)
	}
	offsets := sizes.Offsetsof(vars)
	s := structure{name: spec.Name.Name, doc: strings.TrimSpace(doc), size: sizes.Sizeof(t)}
	i := 0
	for _, decl := range spec.Type.(*ast.StructType).Fields.List {
		comment := oneLine(decl.Doc.Text() + " " + decl.Comment.Text())
		for _, n := range decl.Names {
			f := field{comment: comment, count: 1, offset: offsets[i], size: sizes.Sizeof(vars[i].Type())}
			if n.Name != "_" {
				f.name = n.Name
			}
			typ := vars[i].Type()
			if a, ok := typ.(*types.Array); ok {
				f.array, f.count, typ = true, a.Len(), a.Elem()
				if id, ok := decl.Type.(*ast.ArrayType).Len.(*ast.Ident); ok {
					f.countName = id.Name
				}
			}
			switch e := typ.(type) {
			case *types.Named:
				f.elem = e.Obj().Name()
			case *types.Basic:
				f.elem = e.Name()
				if f.elem == "byte" {
					f.elem = "uint8"
				}
			default:
				return fmt.Errorf("field %s.%s: type %v has no C counterpart here", s.name, n.Name, typ)
			}
			s.fields = append(s.fields, f)
			i++
		}
	}
	m.structs = append(m.structs, s)
	return nil
}

// hash is FNV-1a over the version, every constant and every shape. Comments do not count:
// a change of meaning alone is what ABIVersion is for.
func (m *model) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "version %d\n", m.version)
	for _, g := range m.consts {
		for _, c := range g.consts {
			fmt.Fprintf(h, "const %s %d\n", c.name, c.value)
		}
	}
	for _, s := range m.structs {
		fmt.Fprintf(h, "struct %s %d\n", s.name, s.size)
		for _, f := range s.fields {
			fmt.Fprintf(h, "field %s %s %d %d\n", f.name, f.elem, f.offset, f.size)
		}
	}
	return h.Sum64()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
