package stock

import (
	"fmt"
	str "strings"

	_ "example.com/shop/driver"
)

import "os"

const Limit = 10

const (
	Red = iota
	Green
)

var (
	größe, total = 3, 0
	ErrEmpty     = fmt.Errorf("empty")
)

// Shelf holds items.
type Shelf interface {
	Size() int
	Put(item Item) bool
	fmt.Stringer
}

type Item struct {
	Name, Code string
	price      float64
	Base
}

type (
	ID    int
	Alias = Item
	Func  func(a, b int) bool
)

type Stock[T any] struct {
	items map[string]T
}

func New[T any](limit int) *Stock[T] {
	var local = limit
	return &Stock[T]{items: make(map[string]T, local)}
}

func (s *Stock[T]) Put(
	name string, item T,
) bool {
	helper := func(n int) int { return n + Limit }
	s.items[name] = item
	return helper(1) > len(s.items)
}

func (i Item) String() string { return str.ToUpper(i.Name) }

func main() {
	fmt.Println(os.Args, Item{Name: "é"})
}
