"""Work that is queued again and again: plainly the first time, then recorded as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from edgeseg.engines.tensorrt.cuda import Cuda, Graph, Stream


class Recordings:
    """Graphs of one stream, by what they depend on: shapes, sizes. Needs the context on the calling thread."""

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self._cuda, self._stream = cuda, stream
        self._graphs: dict[Hashable, Graph | None] = {}

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, key: Hashable, queue: Callable[[], None]) -> None:
        """Do what `queue` puts on the stream. The first time it loads and uploads what a graph must not hold."""
        if key not in self._graphs:
            queue()
            self._graphs[key] = None  # behind it: what failed is not recorded
            return
        graph = self._graphs[key]
        if graph is None:
            with self._cuda.capture(self._stream) as graph:
                queue()
            self._graphs[key] = graph
        self._cuda.launch(graph, self._stream)

    def clear(self) -> None:
        """Forget all: the addresses in them are valid no more."""
        self._graphs.clear()
