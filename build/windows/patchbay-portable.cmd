@echo off
rem Starts Patchbay with all its files in the folder "data" beside this script.
set "PATCHBAY_HOME=%~dp0data"
start "" "%~dp0patchbay.exe" %*
