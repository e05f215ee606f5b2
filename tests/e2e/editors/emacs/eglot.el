;;; eglot.el --- drives Emacs' own client, without a window  -*- lexical-binding: t -*-
;; emacs --batch -l eglot.el -- SERVER COMMAND...: in a project with shop/stock.py. What happened is printed as JSON.
;; Emacs has no ghost text in its client: a suggestion is an item of `completion-at-point'.

(require 'eglot)
(require 'json)

(defvar wait-s 30)
(defvar said nil "What the server said of itself, newest first.")
(defvar typed "def total(self, prices):")

(cl-defmethod eglot-handle-notification (_server (_method (eql qwen/status)) &rest params)
  (push params said))

(defun wait-for (what condition)
  "Let the server speak until CONDITION is true."
  (let ((deadline (+ (float-time) wait-s)))
    (while (not (funcall condition))
      (when (> (float-time) deadline) (error "Waited in vain for %s" what))
      (accept-process-output nil 0.05))))

(setq eglot-server-programs `((python-mode . ,(cdr (member "--" command-line-args)))))
(setq command-line-args-left nil
      eglot-sync-connect t
      eglot-connect-timeout wait-s
      eglot-confirm-server-initiated-edits nil
      last-nonmenu-event ?x ; else it looks for a mouse
      make-backup-files nil)
(find-file "shop/stock.py")
(call-interactively #'eglot)
(wait-for "a ready model" (lambda () (equal (plist-get (car said) :state) "ready")))

;; A code action, as `M-x eglot-code-actions' lists it.
(goto-char (point-min))
(search-forward "pass")
(let ((place (- (point) 4)) titles)
  (cl-letf (((symbol-function 'completing-read)
             (lambda (_prompt items &rest _)
               (setq titles (mapcar (lambda (item) (if (consp item) (car item) item)) items))
               (seq-find (lambda (title) (string-match-p "fill in is_empty" title)) titles))))
    (eglot-code-actions place place nil t))
  (wait-for "the body" (lambda () (save-excursion (goto-char (point-min)) (search-forward "return not self.items" nil t))))
  (princ (json-encode `((actions . ,(vconcat titles))))) (terpri))

;; An item at the start of a line, as `M-x completion-at-point' takes it.
(goto-char (point-max))
(insert "\n    " typed "\n        ")
(completion-at-point)
(wait-for "the suggestion" (lambda () (save-excursion (goto-char (point-min)) (search-forward "return round(taxed, 2)" nil t))))

(princ (json-encode `((text . ,(buffer-substring-no-properties (point-min) (point-max))))))
(terpri)
(set-buffer-modified-p nil)
(eglot-shutdown (eglot-current-server) nil wait-s)
