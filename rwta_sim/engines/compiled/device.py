"""A Brian2 standalone device whose program is a library: started once, advanced as often as one likes.

Brian2 generates the C++ code of a standalone simulation. Of that is changed where a variable, a file or a random number
comes from and, unless ``fast=False``, how thresholds and rows of synapses are looped over (the folder templates). The
generated `main` sets the network up and would then run it; it is kept up to that point, and a few functions are added
to be called from Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import Network, StateMonitor, prefs, second
from brian2.core.variables import ArrayVariable, DynamicArrayVariable, Variable
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.synapses.synapses import Synapses, SynapticPathway

from rwta_sim.engines.compiled.codeobject import CompiledCodeObject
from rwta_sim.engines.compiled.library import Library
from rwta_sim.errors import EngineError

__all__ = ["CompiledDevice"]

HEADER = """
#pragma once
// What the generated code needs besides Brian2's: a folder for its data, and a random generator whose state is plain.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <istream>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace rwta_sim {
extern std::string folder;

// Not with std::to_string: it has a static variable of a kind for which a library is never unloaded.
[[noreturn]] inline void refuse(const std::string& problem, size_t number) {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%zu", number);
    throw std::runtime_error(problem + digits);
}

// MT19937 (Matsumoto and Nishimura 1998): the numbers of std::mt19937 and of NumPy's MT19937. A whole block is tempered
// at once, in loops that the compiler can vectorise.
struct MersenneTwister {
    uint32_t key[624];
    int32_t pos = 624;
    uint32_t words[624];  // the key, tempered
    // init_by_array of the authors, as numpy.random.RandomState(init).
    void seed(const uint32_t* init, int32_t n) {
        seed(19650218u);
        uint32_t i = 1;
        int32_t j = 0;
        const auto mixed = [&](uint32_t factor) {
            return key[i] ^ ((key[i - 1] ^ (key[i - 1] >> 30)) * factor);
        };
        const auto next = [&] {
            if (++i == 624) {
                key[0] = key[623];
                i = 1;
            }
        };
        for (int32_t k = n > 624 ? n : 624; k; k--) {
            key[i] = mixed(1664525u) + init[j] + uint32_t(j);
            next();
            if (++j == n) j = 0;
        }
        for (int32_t k = 623; k; k--) {
            key[i] = mixed(1566083941u) - i;
            next();
        }
        key[0] = 0x80000000u;
        pos = 624;
    }
    void seed(uint32_t value) {
        key[0] = value;
        for (uint32_t i = 1; i < 624; i++) key[i] = 1812433253u * (key[i - 1] ^ (key[i - 1] >> 30)) + i;
        pos = 624;
    }
    static uint32_t twist(uint32_t high, uint32_t low) {
        const uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
        return (y >> 1) ^ ((0u - (y & 1u)) & 0x9908b0dfu);
    }
    void refill() {
        for (int i = 0; i < 227; i++) key[i] = key[i + 397] ^ twist(key[i], key[i + 1]);
        for (int i = 227; i < 623; i++) key[i] = key[i - 227] ^ twist(key[i], key[i + 1]);
        key[623] = key[396] ^ twist(key[623], key[0]);
        temper();
        pos = 0;
    }
    void temper() {
        for (int i = 0; i < 624; i++) {
            uint32_t y = key[i];
            y ^= y >> 11;
            y ^= (y << 7) & 0x9d2c5680u;
            y ^= (y << 15) & 0xefc60000u;
            words[i] = y ^ (y >> 18);
        }
    }
    uint32_t operator()() {
        if (pos == 624) refill();
        return words[pos++];
    }
    // n numbers of RandomGenerator::rand()
    void fill(double* out, size_t n) {
        while (n) {
            if (pos == 624) refill();
            const size_t pairs = std::min<size_t>(n, (624 - pos) / 2);
            const uint32_t* word = words + pos;
            for (size_t i = 0; i < pairs; i++)
                out[i] = (int32_t(word[2 * i] >> 5) * 67108864.0 + int32_t(word[2 * i + 1] >> 6)) / 9007199254740992.0;
            pos += 2 * pairs;
            out += pairs;
            n -= pairs;
            if (n && pos == 623) {  // a pair that straddles two blocks
                const int32_t a = (*this)() >> 5, b = (*this)() >> 6;
                *out++ = (a * 67108864.0 + b) / 9007199254740992.0;
                n--;
            }
        }
    }
};

// Brian2 from 2.10 on saves its generators as text.
inline std::ostream& operator<<(std::ostream& out, const MersenneTwister& generator) {
    for (uint32_t word : generator.key) out << word << ' ';
    return out << generator.pos;
}
inline std::istream& operator>>(std::istream& in, MersenneTwister& generator) {
    for (uint32_t& word : generator.key) in >> word;
    in >> generator.pos;
    generator.temper();
    return in;
}

// The synapses of each source of a pathway as a row: consecutive, onto a few runs of consecutive targets, all with one
// delay. The pathway's queue then holds sources (counted from the pathway's first) instead of synapses.
struct Run {
    int32_t first, post, length;  // its first synapse and target
};
struct Rows {
    bool contiguous = false, uniform = true;  // uniform: every source has the same targets, in one run, or none
    bool single = false;  // every source has one synapse, of its own number: the queue holds synapses, as Brian2's
    int32_t pre = 0;
    std::vector<Run> runs;
    std::vector<int32_t> begin{0};  // of each source's runs, and the end of the last
    template <class Queue> void prepare(const Queue& queue, const std::vector<int32_t>& targets) {
        contiguous = queue.scalar_delay && !targets.empty();
        pre = queue.source_start;
        single = queue.scalar_delay && !targets.empty();
        for (size_t i = 0; i < queue.synapses.size() && single; i++)
            single = queue.synapses[i].size() == 1 && queue.synapses[i][0] == int32_t(i);
        const Run* common = nullptr;
        for (const auto& row : queue.synapses) {
            for (size_t k = 0; k < row.size() && contiguous; k++) {
                contiguous = row[k] == row[0] + int32_t(k);
                if (k && targets[row[k]] == targets[row[k - 1]] + 1)
                    runs.back().length++;
                else
                    runs.push_back({row[k], targets[row[k]], 1});
            }
            begin.push_back(runs.size());
        }
        contiguous = contiguous && targets.size() >= SHORTEST * runs.size();  // shorter ones gain nothing
        for (size_t i = 0; i + 1 < begin.size() && contiguous; i++) {
            if (begin[i] == begin[i + 1]) continue;
            const Run& run = runs[begin[i]];
            if (!common) common = &run;
            const bool same = run.length == common->length && run.post == common->post;
            uniform = uniform && same && begin[i + 1] == begin[i] + 1;
        }
        if (!contiguous) std::vector<Run>().swap(runs);
    }
    size_t sources() const { return begin.size() - 1; }
    bool empty(int32_t source) const { return begin[source] == begin[source + 1]; }
    static constexpr size_t SHORTEST = 4;
    template <class Queue> void push(Queue& queue, const int32_t* spikes, int32_t count) const {
        auto& events = queue.queue[(queue.offset + queue.delays[0]) % queue.queue.size()];
        const int32_t* spike = std::lower_bound(spikes, spikes + count, queue.source_start);
        const int32_t* const end = std::lower_bound(spike, spikes + count, queue.source_end);
        if (single) {
            const size_t before = events.size();
            events.resize(before + (end - spike));
            for (int32_t* event = events.data() + before; spike < end; spike++) *event++ = *spike - pre;
            return;
        }
        for (; spike < end; spike++)
            if (*spike >= pre && !empty(*spike - pre)) events.push_back(*spike - pre);
    }
};
%ROWS%
}  // namespace rwta_sim
"""

#: In place of Brian2's, which allocates each row, and frees all of them when a recording is emptied.
DYNAMIC_ARRAY = """
#pragma once
#include <vector>

// Rows one after the other; the number of columns is for good once there is a row.
template <class T> class DynamicArray2D {
    std::vector<T> values;

  public:
    int n, m;
    DynamicArray2D(int rows = 0, int columns = 0) { resize(rows, columns); }
    void resize(int rows, int columns) {
        n = rows;
        m = columns;
        values.resize(size_t(n) * m);
    }
    T& operator()(int i, int j) { return values[size_t(i) * m + j]; }
    T* data() { return values.data(); }
};
"""

LIBRARY = """
#include "objects.h"
#include "rwta_sim.h"
#include <algorithm>
#include <vector>

std::string rwta_sim::folder;
int rwta_sim_setup(int argc, char** argv);  // the generated main, up to its network run

using namespace brian;

%ROWS%

extern "C" {

// Returns what went wrong, or null.
const char* rwta_sim_start(const char* folder) {
    static std::string problem;
    rwta_sim::folder = folder;
    char name[] = "rwta_sim";
    char* argv[] = {name, nullptr};
    try {
        rwta_sim_setup(1, argv);
    } catch (const std::exception& error) {
        problem = error.what();
        return problem.c_str();
    }
    return nullptr;
}

// The values of a variable, how many they are and, of a recording of a StateMonitor, in how many rows.
void rwta_sim_array(int which, void** data, int64_t* size, int64_t* rows) {
    switch (which) {
%ARRAYS%
    }
}

// Empties a recording; a std::vector keeps its memory for what comes.
void rwta_sim_empty(int which) {
    switch (which) {
%EMPTY%
    }
}

// From now on the array of a function is what somebody else holds, and may change.
void rwta_sim_lend(int which, void* data) {
    switch (which) {
%LEND%
    }
}

// Frees what Brian2 allocated with new; the vectors and queues free themselves when the library is unloaded.
void rwta_sim_free() {
%FREE%
}

void rwta_sim_advance(int64_t steps) {
    auto& objects = %NETWORK%.objects;
    const size_t count = objects.size();
%ADVANCE%
}

void rwta_sim_random(void** key, void** pos, void** gauss, void** has_gauss) {
    auto& generator = _random_generators[0];
    *key = generator.gen.key;
    *pos = &generator.gen.pos;
    *gauss = &generator.stored_gauss;
    *has_gauss = &generator.has_stored_gauss;
}

void rwta_sim_seed(const uint32_t* words, int32_t n) {
    auto& generator = _random_generators[0];
    generator.gen.seed(words, n);
    generator.stored_gauss = 0.0;
    generator.has_stored_gauss = false;
}

// To be called when key or pos were changed from outside.
void rwta_sim_random_changed() { _random_generators[0].gen.temper(); }

static SynapticPathway* pathway(int which) {
    switch (which) {
%PATHWAYS%
    }
    return nullptr;
}

// Of a pathway whose queue holds sources instead of synapses: how many sources there are. Else 0.
int64_t rwta_sim_queue_sources(int which) {
    const rwta_sim::Rows* rows[] = {%ROW_TABLE%};
    return rows[which]->contiguous ? rows[which]->sources() : 0;
}

// The spikes on their way: offset and row lengths; then, given room, the events of all rows.
int64_t rwta_sim_queue_rows(int which) { return pathway(which)->queue[0]->_full_state().second.size(); }

void rwta_sim_queue_get(int which, int64_t* offset, int64_t* lengths, int32_t* events) {
    const auto state = pathway(which)->queue[0]->_full_state();
    *offset = state.first;
    for (const auto& row : state.second) {
        *lengths++ = row.size();
        if (events)
            for (int32_t event : row) *events++ = event;
    }
}

void rwta_sim_queue_set(int which, int64_t offset, int64_t rows, const int64_t* lengths, const int32_t* events) {
    std::vector<std::vector<int32_t>> queue(rows);
    for (auto& row : queue) {
        row.assign(events, events + *lengths);
        events += *lengths++;
    }
    pathway(which)->queue[0]->_restore_from_full_state(std::make_pair((int)offset, queue));
}
}
"""

ONE_CLOCK = """
    for (; steps > 0; steps--) {
        for (size_t i = 0; i < count; i++)
            if (objects[i].second) objects[i].second();
        %CLOCK%.tick();
    }
"""

#: Brian2's own loop: the clocks that are due are those with the smallest time, within a relative epsilon.
MANY_CLOCKS = """
    Clock* clocks[] = {%CLOCKS%};
    while (true) {
        double now = clocks[0]->t[0];
        for (Clock* clock : clocks) now = std::min(now, clock->t[0]);
        auto due = [now](Clock* clock) { return clock->t[0] - now <= 1e-4 * clock->dt[0]; };
        if (due(&%CLOCK%) && steps-- == 0) return;
        bool is_due[%COUNT%];
        for (int i = 0; i < %COUNT%; i++) is_due[i] = due(clocks[i]);
        for (size_t i = 0; i < count; i++)
            for (int k = 0; k < %COUNT%; k++)  // of Brian2 2.10 on, objects[i].first is of a class above Clock
                if (is_due[k] && objects[i].first == clocks[k] && objects[i].second) objects[i].second();
        for (int i = 0; i < %COUNT%; i++)
            if (is_due[i]) clocks[i]->tick();
    }
"""


#: Settings of the compiler that preferences and functions may give.
_COMPILER_SETTINGS = ("include_dirs", "define_macros", "library_dirs", "libraries", "runtime_library_dirs")

_THROW = 'throw std::runtime_error("synapses could not be created, see the message above");'


def _is_synaptic(var: Variable) -> bool:
    """Whether a variable has a value for each synapse."""
    return (
        isinstance(var, DynamicArrayVariable) and isinstance(var.owner, (Synapses, SynapticPathway)) and not var.scalar
    )


def _sets_one(kind: str, what: Any, names: set[str]) -> bool:
    """Whether a line of Brian2's queue sets an array of one number that has one of these names."""
    return kind == "set_by_single_value" and what[0] in names


def _sort_some(lines: list[Any], where: list[int]) -> None:
    """Sort what stands at these places among itself, by what it looks like."""
    for i, line in zip(where, sorted((lines[i] for i in where), key=str), strict=True):
        lines[i] = line


def _emptied(code: str, function: str) -> str:
    """`code` with nothing in the body of a function without a value; as it is, where the function cannot be found."""
    head = rf"^void {function}\([^)]*\)\s*{{$"
    return re.sub(rf"({head}).*?^}}$", r"\1\n}", code, count=1, flags=re.DOTALL | re.MULTILINE)


def _text(path: Path) -> str:
    """What Brian2 wrote, with its line ends as they are."""
    with path.open(newline="") as file:
        return file.read()


class CompiledDevice(CPPStandaloneDevice):
    """Generates the library of one network and, once it is loaded, gives access to its variables."""

    def __init__(self, fast: bool = True) -> None:
        super().__init__()
        self._fast = fast
        self._library: Library | None = None
        self._closed = False
        self._index: dict[Variable, int] = {}
        self._delays: set[Variable] = set()
        #: The arrays of functions, TimedArrays above all, which a library is to read where they are.
        self.tables: list[np.ndarray] = []

    def code_object_class(self, codeobj_class: type | None = None, fallback_pref: str | None = None) -> type:
        if codeobj_class is None and self._fast:
            return CompiledCodeObject
        return super().code_object_class(codeobj_class, fallback_pref)

    # -- setting up, before the network is prepared -----------------------------------------------------------------

    # Brian2 does not check in standalone mode what it cannot know before the program runs, so that the program would
    # read and write beyond its arrays. What can be known is checked here, the rest when the library sets itself up.

    def fill_with_array(self, var: ArrayVariable, arr: Any) -> None:
        if self._library is not None:
            values = self.get_value(var)
            if not values.flags.writeable:
                raise EngineError(
                    f"{var.name} of {var.owner.name} is fixed once the network is prepared: set it before"
                )
            values[...] = arr
            return
        count = np.size(arr)
        if count > 1 and _is_synaptic(var):
            name, size = f"{var.owner.name}.{var.name}", f"{self.get_array_name(var, access_data=False)}.size()"
            self._require(
                f"{size} == {count}", f"{name} was given {count} values, but the number of synapses is ", size
            )
        super().fill_with_array(var, arr)

    def variableview_set_with_index_array(self, variableview: Any, item: Any, value: Any, check_units: bool) -> None:
        item = getattr(item, "_indices", lambda: item)()
        if not isinstance(item, (slice, str, tuple)):
            item = self._existing(variableview, np.asarray(item))
        super().variableview_set_with_index_array(variableview, item, value, check_units)

    def _existing(self, view: Any, item: np.ndarray) -> Any:
        """Indices counted from the start, all of which exist; as numbers or a list, which Brian2 tells from names."""
        indices = np.nonzero(item)[0] if item.dtype == bool else item
        if view.index_var != "_idx":  # of a subgroup, which Brian2 takes into account for arrays
            return np.atleast_1d(indices).tolist()
        variable = view.variable
        try:
            size = int(view.group.variables["N"].get_value())
        except NotImplementedError:  # synapses that the program creates
            if indices.shape == ():
                name, size = f"{variable.owner.name}.{variable.name}", self.get_array_name(variable, access_data=False)
                place = f"0 <= {indices} && {indices} < (int64_t){size}.size()"
                self._require(place, f"{name}[{indices}] does not exist: the number of synapses is ", f"{size}.size()")
            return indices.tolist()
        if indices.size and not (-size <= indices.min() and indices.max() < size):
            raise IndexError(f"{view.group.name} has indices 0 to {size - 1}, and not all of {indices.tolist()}")
        indices = np.where(indices < 0, indices + size, indices)
        return indices.tolist() or slice(0, 0) if indices.shape else indices.item()

    def _require(self, condition: str, problem: str, number: str) -> None:
        """Where the program is now, let it end with an error unless `condition` holds."""
        self.insert_code("main", f'if (!({condition})) rwta_sim::refuse("{problem}", {number});')

    def _check_recorded(self, network: Network) -> None:
        """Of monitors of synapses: that what they record exists."""
        for obj in network.objects:
            if isinstance(obj, StateMonitor) and isinstance(obj.source, Synapses) and len(obj.record):
                size = f"{self.get_array_name(obj.source.variables['_synaptic_pre'], access_data=False)}.size()"
                last = int(np.max(obj.record))
                self._require(
                    f"{last} < (int64_t){size}",
                    f"{obj.name} records synapse {last}, but the number of synapses is ",
                    size,
                )

    # -- generating ----------------------------------------------------------------------------------

    def generate(self, network: Network, folder: Path, namespace: Mapping[str, Any]) -> dict[str, str]:
        """Write the project of `network` to `folder` and return its sources by file name.

        `namespace` has the names from outside that objects without a namespace of their own use.
        To be called while this device is the active one.
        """
        if prefs.devices.cpp_standalone.openmp_threads:
            raise EngineError(
                "the compiled engine runs a network in one thread (several networks run in threads of their own): set "
                "brian2.prefs.devices.cpp_standalone.openmp_threads = 0"
            )
        self._check_recorded(network)
        self.insert_code("before_network_run", "return 0;")
        saved = prefs.core.stop_on_keyboard_interrupt
        prefs.core.stop_on_keyboard_interrupt = False  # no signal handler inside a library
        before = len(self.main_queue)
        try:
            network.run(0 * second, namespace=namespace)
            self._sort_clocks(network, before)
            self.build(directory=str(folder), compile=False, run=False)
        finally:
            prefs.core.stop_on_keyboard_interrupt = saved
        sources = {
            str(path.relative_to(folder)): _text(path)
            for path in sorted(folder.rglob("*"))
            if path.suffix in (".cpp", ".h")
        }
        sources = self._renamed(sources)
        self._adapt(sources)
        sources["brianlib/dynamic_array.h"] = DYNAMIC_ARRAY
        self.pathways = sorted(p.name for s in self.synapses for p in s._pathways)
        sources["rwta_sim.h"] = HEADER.replace("%ROWS%", "\n".join(f"extern Rows rows_{p};" for p in self.pathways))
        sources["rwta_sim.cpp"] = self._library_source(network)
        return sources

    def _sort_clocks(self, network: Network, first: int) -> None:
        """Have clocks stand by name, in what is queued from number `first` on.

        Brian2 goes through a set of them, in another order in every process, so that networks of several clocks would
        have other code each time and miss the cache.
        """
        times = {self.get_array_name(clock.variables[name]) for clock in network._clocks for name in ("timestep", "t")}
        idle = {f"{network.name}.add(&{clock.name}, NULL);" for clock in network._clocks}
        _sort_some(
            self.main_queue,
            [i for i, (kind, what) in enumerate(self.main_queue) if i >= first and _sets_one(kind, what, times)],
        )
        for kind, what in self.main_queue[first:]:
            if kind == "run_network":
                _sort_some(what[1], [i for i, line in enumerate(what[1]) if line in idle])

    def _renamed(self, sources: dict[str, str]) -> dict[str, str]:
        """The sources with code objects numbered: Brian2 names them uniquely in a process, so that the same network
        built a second time would have other code and miss the cache."""
        numbers = {name: f"code_{number}" for number, name in enumerate(self.code_objects)}
        if not numbers:  # nothing runs
            return sources
        pattern = re.compile(f"({'|'.join(sorted(map(re.escape, numbers), key=len, reverse=True))})(?![0-9])")

        def rename(text: str) -> str:
            return pattern.sub(lambda match: numbers[match.group(1)], text)

        return {rename(name): rename(text) for name, text in sources.items()}

    def _adapt(self, sources: dict[str, str]) -> None:
        for name, old, new in (
            ("objects.h", "std::mt19937 gen;", "rwta_sim::MersenneTwister gen;"),
            ("objects.h", "    private:\n", "    public:\n"),
            ("objects.h", "#include<random>", '#include "rwta_sim.h"\n#include<random>'),
            ("main.cpp", "int main(int argc, char **argv)", "int rwta_sim_setup(int argc, char **argv)"),
        ):
            if old not in sources[name]:
                raise EngineError(
                    f"this version of Brian2 generates a {name} that the compiled engine does not know "
                    f"(no {old.strip()!r}): use the runtime engine"
                )
            sources[name] = sources[name].replace(old, new)
        for name in sources:
            if name.startswith("code_objects/"):
                # Brian2 prints what is wrong with a connection and ends the process.
                sources[name] = sources[name].replace("exit(1);", _THROW)
        sources["objects.cpp"] = sources["objects.cpp"].replace(
            'open("static_arrays/', 'open(rwta_sim::folder + "/static_arrays/'
        )
        # Who runs it as a program writes results to files, and sets variables from arguments: here nobody does, and
        # they are a fifth of what there is to compile.
        for name in ("_write_arrays", "set_variable_by_name"):
            sources["objects.cpp"] = _emptied(sources["objects.cpp"], name)

    def _library_source(self, network: Network) -> str:
        cases, empty, free = [], [], []
        for index, (var, name) in enumerate(sorted(self.arrays.items(), key=lambda item: item[1])):
            self._index[var] = index
            if isinstance(var, DynamicArrayVariable):
                dynamic = self.get_array_name(var, access_data=False)
                pointer, size = f"{dynamic}.data()", f"{dynamic}.size()"
                emptied = f"{dynamic}.clear()"
                if var.ndim == 2:
                    size, emptied = f"(int64_t){dynamic}.n * {dynamic}.m", f"{dynamic}.resize(0, {dynamic}.m)"
                    pointer += f"; *rows = {dynamic}.n"
                empty.append(f"    case {index}: {emptied}; break;")
            else:
                free.append(f"    delete[] {name};\n    {name} = nullptr;")
                pointer, size = name, str(int(np.prod(var.size)))
            cases.append(f"    case {index}: *data = (void*){pointer}; *size = {size}; break;")
        initialised = {*self.arrays.values(), *self.dynamic_arrays.values()}
        static = [name for name in sorted(self.static_arrays) if name not in initialised]
        # Brian2 begins the names of other arrays with this; those of functions are the functions' own arrays.
        lent = [n for n in static if not n.startswith("_static_array_") and self.static_arrays[n].flags.c_contiguous]
        lend = [f"    case {i}: delete[] {n}; {n} = (decltype({n}))data; break;" for i, n in enumerate(lent)]
        free += [f"    delete[] {n};\n    {n} = nullptr;" for n in static if n not in lent]
        self.tables = [self.static_arrays[name] for name in lent]
        clocks = sorted(network._clocks, key=lambda clock: (clock.dt_, clock.name))
        self._delays = {p.variables["delay"] for s in self.synapses for p in s._pathways}
        advance = ONE_CLOCK if len(clocks) == 1 else MANY_CLOCKS
        advance = advance.replace("%CLOCKS%", ", ".join(f"&{clock.name}" for clock in clocks))
        advance = advance.replace("%CLOCK%", clocks[0].name).replace("%COUNT%", str(len(clocks)))
        return (
            LIBRARY.replace("%ARRAYS%", "\n".join(cases))
            .replace("%ROW_TABLE%", ", ".join(f"&rwta_sim::rows_{p}" for p in self.pathways) or "nullptr")
            .replace("%ROWS%", "\n".join(f"rwta_sim::Rows rwta_sim::rows_{p};" for p in self.pathways))
            .replace("%EMPTY%", "\n".join(empty))
            .replace("%LEND%", "\n".join(lend))
            .replace("%FREE%", "\n".join(free))
            .replace("%PATHWAYS%", "\n".join(f"    case {i}: return &{n};" for i, n in enumerate(self.pathways)))
            .replace("%ADVANCE%", advance)
            .replace("%NETWORK%", network.name)
        )

    # -- variables of the loaded library -------------------------------------------------------------

    def connect(self, library: Library) -> None:
        """From now on variables are those of the library."""
        self._library = library

    def disconnect(self) -> None:
        """From now on there are no variables: the engine is closed."""
        self._library = None
        self._closed = True

    def get_value(self, var: ArrayVariable, access_data: bool = True) -> np.ndarray:
        if self._closed:
            raise EngineError(f"the engine of {var.name} is closed: its values are gone")
        if self._library is None:
            return super().get_value(var, access_data)
        if var not in self._index:
            raise EngineError(f"{var.name} of {var.owner.name} is no part of the network that was prepared")
        values, rows = self._library.array(self._index[var], var.dtype)
        if isinstance(var, DynamicArrayVariable) and var.ndim == 2:
            values = values.reshape(rows, var.size[1])
        if var in self._delays:
            values.flags.writeable = False  # the queues were made for these delays
        elif isinstance(var, DynamicArrayVariable) and not isinstance(var.owner, (Synapses, SynapticPathway)):
            return values.copy()  # a recording: it moves in memory while it grows
        return values

    def resize(self, var: ArrayVariable, new_size: int) -> None:
        if self._library is not None or self._closed:
            raise EngineError(
                f"{var.name} of {var.owner.name} cannot grow once the network is prepared: connect synapses before"
            )
        super().resize(var, new_size)

    def empty(self, var: ArrayVariable) -> None:
        """Drop the recording in a variable of a monitor."""
        if self._library is not None:
            self._library.empty(self._index[var])

    def compiler_arguments(self) -> tuple[list[str], list[str]]:
        """What Brian2's preferences and the functions of the network add to compiling and to linking."""
        cpp = prefs.codegen.cpp
        found: dict[str, list] = {key: list(cpp[key]) for key in _COMPILER_SETTINGS}
        for code_object in self.code_objects.values():
            if code_object.compiler_kwds.get("sources"):
                raise EngineError(
                    f"{code_object.name} uses a function with source files of its own, which the compiled engine "
                    "cannot add: use the runtime engine"
                )
            for key in found:
                found[key] += code_object.compiler_kwds.get(key, [])
        macros = [name if value is None else f"{name}={value}" for name, value in found["define_macros"]]
        flags = [*(f"-I{folder}" for folder in found["include_dirs"]), *(f"-D{macro}" for macro in macros)]
        link = [*(f"-L{folder}" for folder in found["library_dirs"]), *(f"-l{name}" for name in found["libraries"])]
        link += [f"-Wl,-rpath,{folder}" for folder in found["runtime_library_dirs"]]
        return list(dict.fromkeys(flags)), [*dict.fromkeys(link), *cpp.extra_link_args]

    def pathway_index(self, pathway: SynapticPathway) -> int:
        """Where a pathway is in the library's table."""
        return self.pathways.index(pathway.name)
