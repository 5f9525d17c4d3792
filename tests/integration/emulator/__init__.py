"""Tests of akv-emulator itself."""
