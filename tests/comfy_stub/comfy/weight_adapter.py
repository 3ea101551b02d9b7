"""Stand-in for `comfy.weight_adapter`: LoRAs are tried in the real ComfyUI."""


class WeightAdapterBase: ...


class BypassInjectionManager: ...
