"""Work that is queued again and again: directly the first time, then captured as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from edgeseg.engines.tensorrt.cuda import Cuda, Graph, Stream


class CudaGraphCache:
    """CUDA graphs of one stream, by what they depend on: shapes and sizes. Needs the context on the calling thread."""

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self._cuda, self._stream = cuda, stream
        self._graphs: dict[Hashable, Graph | None] = {}

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, key: Hashable, queue: Callable[[], None]) -> None:
        """Do the work that `queue` puts on the stream. The first call loads and uploads what a graph cannot contain."""
        if key not in self._graphs:
            queue()
            self._graphs[key] = None  # only after success: work that failed is never captured
            return
        graph = self._graphs[key]
        if graph is None:
            with self._cuda.capture(self._stream) as graph:
                queue()
            self._graphs[key] = graph
        self._cuda.launch(graph, self._stream)

    def clear(self) -> None:
        """Drop all graphs: the addresses in them are no longer valid."""
        self._graphs.clear()
