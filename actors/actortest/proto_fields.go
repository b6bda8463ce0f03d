package actortest

import (
	"fmt"
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/asynkron/protoactor-go/actor"
)

// A World needs a few fields that Proto.Actor does not export. They are looked up by name and type when the program starts; with a version
// of Proto.Actor that does not have them, NewWorld fails and names them.
var (
	cachedProcess   = fieldOf[actor.PID, *actor.Process]("p")
	mailboxOf       = fieldOf[actor.ActorProcess, actor.Mailbox]("mailbox")
	mailboxProducer = fieldOf[actor.Props, actor.MailboxProducer]("mailboxProducer")
	supervisor      = fieldOf[actor.Props, actor.SupervisorStrategy]("supervisionStrategy")
	spawner         = fieldOf[actor.Props, actor.SpawnFunc]("spawner")
	rootGuardian    = fieldOf[actor.RootContext, actor.SupervisorStrategy]("guardianStrategy")
	failureTimes    = fieldOf[actor.RestartStatistics, []time.Time]("failureTimes")
	futureDone      = fieldOf[actor.Future, bool]("done")
	futureErr       = fieldOf[actor.Future, error]("err")
	futureTimer     = fieldOf[actor.Future, *time.Timer]("t")
	futureCond      = fieldOf[actor.Future, *sync.Cond]("cond")
)

// missingFields are the fields that this version of Proto.Actor does not have.
var missingFields []string

// fieldOffset is where in an S there is an F.
type fieldOffset[S, F any] struct{ offset uintptr }

func fieldOf[S, F any](name string) fieldOffset[S, F] {
	f, ok := reflect.TypeFor[S]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[F]() {
		missingFields = append(missingFields, fmt.Sprintf("%v has no field %s of type %v", reflect.TypeFor[S](), name, reflect.TypeFor[F]()))
		return fieldOffset[S, F]{}
	}
	return fieldOffset[S, F]{f.Offset}
}

func (f fieldOffset[S, F]) of(s *S) *F { return (*F)(unsafe.Add(unsafe.Pointer(s), f.offset)) }

// futureOf is the Future of a process; nil: the process is none of a Future.
func futureOf(process actor.Process) *actor.Future {
	t := reflect.TypeOf(process)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct || t.Elem().NumField() == 0 || t.Elem().Field(0).Type != reflect.TypeFor[actor.Future]() {
		return nil
	}
	return (*actor.Future)(reflect.ValueOf(process).UnsafePointer())
}

// backoffOf returns the parameters of Proto.Actor's exponential backoff; ok is false for other strategies.
func backoffOf(s actor.SupervisorStrategy) (window, initial time.Duration, ok bool) {
	v := reflect.ValueOf(s)
	if s == nil || v.Type() != backoffType {
		return 0, 0, false
	}
	return time.Duration(v.Elem().FieldByName("backoffWindow").Int()), time.Duration(v.Elem().FieldByName("initialBackoff").Int()), true
}

var backoffType = reflect.TypeOf(actor.NewExponentialBackoffStrategy(time.Second, time.Second))
