"""Engines that hold one contract, `base.Backend`."""
