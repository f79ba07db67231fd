; The installer of Patchbay, for one person: no administrator is asked for. build/package calls it with VERSION, NUMBER,
; STAGE, OUT and ICON. Silent: setup.exe /S, uninstall.exe /S. A silent uninstall keeps settings and accounts unless
; /DELETEDATA is given.
Target amd64-unicode
Unicode true
SetCompressor /SOLID lzma
SetDateSave off
ManifestDPIAware true
RequestExecutionLevel user

!include "MUI2.nsh"
!include "FileFunc.nsh"
!include "LogicLib.nsh"

!define KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\Patchbay"

Name "Patchbay"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\Patchbay"
InstallDirRegKey HKCU "${KEY}" "InstallLocation"
BrandingText "Patchbay ${VERSION}"
VIProductVersion "${NUMBER}"
VIAddVersionKey "ProductName" "Patchbay"
VIAddVersionKey "FileDescription" "Patchbay Setup"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "LegalCopyright" "The Patchbay developers. GPL-3.0"

!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!define MUI_FINISHPAGE_RUN "$INSTDIR\patchbay.exe"
!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "SimpChinese"
!insertmacro MUI_LANGUAGE "Japanese"

LangString inUse ${LANG_ENGLISH} "Patchbay is running. Quit it in the tray, then choose Retry."
LangString inUse ${LANG_SIMPCHINESE} "Patchbay 正在运行。请在托盘中退出，然后点“重试”。"
LangString inUse ${LANG_JAPANESE} "Patchbay が動作中です。トレイから終了し、「再試行」を選んでください。"
LangString keepData ${LANG_ENGLISH} "Delete your settings, accounts and logs of Patchbay as well?$\r$\n$\r$\nNo keeps them for a later installation."
LangString keepData ${LANG_SIMPCHINESE} "是否同时删除 Patchbay 的设置、账号和日志？$\r$\n$\r$\n选“否”则保留，以便再次安装时使用。"
LangString keepData ${LANG_JAPANESE} "Patchbay の設定、アカウント、ログも削除しますか。$\r$\n$\r$\n「いいえ」を選ぶと、次のインストールのために残します。"
LangString apps ${LANG_ENGLISH} "Patchbay is removed. Apps that you pointed at it still ask http://127.0.0.1:8390: set their address back to the service's own."
LangString apps ${LANG_SIMPCHINESE} "Patchbay 已移除。之前指向它的应用仍会访问 http://127.0.0.1:8390，请把它们的地址改回服务商自己的地址。"
LangString apps ${LANG_JAPANESE} "Patchbay を削除しました。Patchbay に向けたアプリは引き続き http://127.0.0.1:8390 に接続します。アドレスをサービス本来のものに戻してください。"

; A running instance is asked to end; the file then becomes free. Nobody is ended by force: a stream may be running.
!macro Quit prefix
Function ${prefix}quitRunning
  IfFileExists "$INSTDIR\patchbay.exe" 0 done
  nsExec::Exec '"$INSTDIR\patchbay.exe" --quit-running'
  Pop $0
  StrCpy $1 0
again:
  ClearErrors
  FileOpen $0 "$INSTDIR\patchbay.exe" a
  IfErrors 0 free
  IntOp $1 $1 + 1
  IntCmp $1 20 0 wait
  IfSilent 0 ask
  SetErrorLevel 5
  Abort
ask:
  MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(inUse)" IDRETRY again
  Abort
wait:
  Sleep 500
  Goto again
free:
  FileClose $0
done:
FunctionEnd
!macroend
!insertmacro Quit ""
!insertmacro Quit "un."

Section "Patchbay"
  SetShellVarContext current
  Call quitRunning
  SetOutPath "$INSTDIR"
  File "${STAGE}/patchbay.exe"
  File "${STAGE}/patchbay.com"
  File "${STAGE}/LICENSE.txt"
  File "${STAGE}/README.md"
  File "${STAGE}/CHANGELOG.md"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortcut "$SMPROGRAMS\Patchbay.lnk" "$INSTDIR\patchbay.exe"
  WriteRegStr HKCU "${KEY}" "DisplayName" "Patchbay"
  WriteRegStr HKCU "${KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${KEY}" "Publisher" "The Patchbay developers"
  WriteRegStr HKCU "${KEY}" "DisplayIcon" "$INSTDIR\patchbay.exe"
  WriteRegStr HKCU "${KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${KEY}" "NoRepair" 1
  ${GetSize} "$INSTDIR" "/S=0K" $0 $1 $2
  WriteRegDWORD HKCU "${KEY}" "EstimatedSize" $0
SectionEnd

Section "Uninstall"
  SetShellVarContext current
  Call un.quitRunning
  ; Only what the installer brought: people put files of their own anywhere.
  Delete "$INSTDIR\patchbay.exe"
  Delete "$INSTDIR\patchbay.com"
  Delete "$INSTDIR\LICENSE.txt"
  Delete "$INSTDIR\README.md"
  Delete "$INSTDIR\CHANGELOG.md"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\Patchbay.lnk"
  DeleteRegKey HKCU "${KEY}"
  DeleteRegValue HKCU "Software\Microsoft\Windows\CurrentVersion\Run" "Patchbay"
  DeleteRegValue HKCU "Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run" "Patchbay"

  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/DELETEDATA" $1
  IfErrors 0 delete
  MessageBox MB_YESNO|MB_DEFBUTTON2|MB_ICONQUESTION "$(keepData)" /SD IDNO IDYES delete
  Goto kept
delete:
  RMDir /r "$APPDATA\patchbay"
  RMDir /r "$LOCALAPPDATA\patchbay"
  ; The key of the vault is an item of the credential manager; its name ends in the key's number.
  nsExec::Exec `cmd /c for /f "tokens=2 delims==" %a in ('cmdkey /list ^| findstr /c:"dev.patchbay.Patchbay"') do cmdkey /delete:%a`
  Pop $0
kept:
  MessageBox MB_OK|MB_ICONINFORMATION "$(apps)" /SD IDOK
SectionEnd
